"""What makes the documentation and a release."""

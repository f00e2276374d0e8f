"""What those who keep the service alive ask: how it is, and what it did."""

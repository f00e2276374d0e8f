"""Commands that start the service, ask how it is, and tell how it is set."""

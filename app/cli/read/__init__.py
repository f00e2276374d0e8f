"""Commands that read films where they are called, without a server."""

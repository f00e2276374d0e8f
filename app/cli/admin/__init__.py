"""Commands that look after what the service has: its models, and what comes with them."""

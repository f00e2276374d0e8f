"""What makes a change visible: the key, the chain, and the check of both."""

"""What stands in deploy/: manifests for clusters."""

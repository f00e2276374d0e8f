"""Releasing: a finished run, or a bundle measured anew, becomes a bundle."""

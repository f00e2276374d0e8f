"""Asking: a model asked about images that it was not fitted to, for a report or a comparison.

`asking` asks a bundle, a checkpoint, or reads back what was answered; `unseen` tells which images
a bundle was not fitted to.
"""

"""Fit: the network, its training loop, and the run folder that keeps every epoch.

`trainer.fit` leaves a run in a `checkpoint.RunFolder`, to be resumed to the bit;
`trainer.load_best` hands out the network that was kept.
"""

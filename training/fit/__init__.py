"""Fit: the network and its training loop: loss, sampling, schedule, teachers.

`trainer.fit` leaves a run in a `training.run.checkpoint.RunFolder`; `trainer.load_best` hands out
the network that was kept.
"""

"""Fitting: the network, its training loop, and the run folder that keeps every epoch."""

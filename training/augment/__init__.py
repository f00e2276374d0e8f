"""Augment: images changed at random, as two radiographs of the same chest may differ.

`augmentation.augment` changes a batch; `amplitudes.mix_amplitudes` lends it the look of others.
"""

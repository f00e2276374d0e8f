"""Devices: processes, each on a device of its own, that train one network together.

`ranks.join_ranks` joins what ``torchrun`` started; `shared_norm.share_norms` lets batch
normalisation see the whole batch.
"""

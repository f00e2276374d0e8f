"""Acceptance: a model measured on a hospital's own films, where it serves, before it is relied on.

`acceptance_run.accept` hands out the acceptance file's content. It knows NumPy and nothing heavier.
"""

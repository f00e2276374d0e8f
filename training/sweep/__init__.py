"""Sweep: a recipe's settings searched for, trial by trial, in a study that several processes share.

`sweep.run_sweep` runs trials and writes the best of them as a recipe; `sweep_table.show_study`
tells of a study. The only room that knows Optuna: imported by the command alone.
"""

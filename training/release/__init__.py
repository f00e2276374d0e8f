"""Release: a finished run, or a bundle measured anew, becomes a bundle.

`release.release` and `remeasure.remeasure` write graphs, card, README and plots together, so
that no figure is of another graph.
"""

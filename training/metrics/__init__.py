"""Metrics: figures of labels and probabilities, with intervals by patient. No graph, no file.

`metrics.measure` gives all that a card tells of one split; `bootstrap` the intervals,
`paired` the differences of two models on the same images,
`reliability` how far probabilities can be believed, `tasks` two kinds of images told apart.
"""

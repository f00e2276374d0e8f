"""Metrics: figures of labels and probabilities, with intervals by patient. No graph, no file."""

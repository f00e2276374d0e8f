"""The model: a bundle of a graph and its card, checked, in an ONNX Runtime session.

`load` finds and loads it; `card` is the contract with training, `figures` its measurements.
"""

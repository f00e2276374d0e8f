"""Measure: graphs run through ONNX Runtime, as they are served.

`evaluation` gives a split's figures for a card, `predictions` what was answered for each image,
`audit` where the answers come from and what changes them, by the changes of images in `stress`.
"""

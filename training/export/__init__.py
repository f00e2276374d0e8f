"""Export: from a trained network to ONNX graphs with all that serving needs.

`onnx_export` makes the cores, float32 proved against PyTorch and int8 quantised from it;
`input_rule` puts what makes bytes its input before, `graph` the contract's outputs behind;
`calibration` fits what stands there.
"""

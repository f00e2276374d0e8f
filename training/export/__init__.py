"""Export: from a trained network to ONNX graphs with all that serving needs, calibrated."""

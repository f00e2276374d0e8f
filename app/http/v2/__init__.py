"""The Open Inference Protocol (v2): what clients of Triton, KServe and MLServer speak."""

"""The export step: from a checkpoint to a verified ONNX bundle; it comes with a later version."""

"""The owner's ONNX graph: read, searched for its head, and given the outputs of a bundle."""

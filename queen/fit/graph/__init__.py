"""The ONNX graph of a classifier: read, searched for its head, given the outputs of a bundle."""

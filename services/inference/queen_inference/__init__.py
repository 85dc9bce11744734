"""The inference service: the front door of the Open Inference Protocol."""

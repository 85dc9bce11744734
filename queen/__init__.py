"""QUEEN: query unlearning against model extraction, as three gRPC services."""

__version__ = "0.1.0"

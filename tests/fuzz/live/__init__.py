"""Hostile bytes over real gRPC, at the three services as processes."""

"""`queen demo`: the whole story on real data, through three real gRPC services."""

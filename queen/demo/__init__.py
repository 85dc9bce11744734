"""`queen demo`: a thief and honest accounts on real data, through the three gRPC services."""

"""Targets of the fuzzer: each takes bytes, and says how they were received."""

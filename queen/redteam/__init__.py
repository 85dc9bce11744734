"""The adversary: datasets, query pools and piracy models."""

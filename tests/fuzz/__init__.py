"""Hostile bytes: the messages and files that Queen reads, mutated at random."""

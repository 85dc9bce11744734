"""Targets of attacks: defended models, in process or served."""

"""Deployable services; each is started with `python -m`."""

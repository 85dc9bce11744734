"""Honest traffic, for simulations: the order of its samples, and changes to them."""

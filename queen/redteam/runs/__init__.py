"""Runs: the cells of a plan measured, and attacks on an endpoint of your own."""

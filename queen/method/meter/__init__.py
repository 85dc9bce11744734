"""The off-distribution meter and its fit."""

"""Training of the mapping network and of the shadow models."""

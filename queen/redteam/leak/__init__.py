"""The leak: what a decoder reads from answers beyond what the input alone gives away."""

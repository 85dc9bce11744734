"""The leak: what a decoder reads from an answer beyond what the input alone gives away."""

"""`queen check`: says what is wrong with a bundle, an accounts file or settings."""

"""`queen check`: what is wrong with a bundle, an accounts file or settings, in words."""

"""Neighbor indexes: which queries are novel, by a grid of cells or by FAISS."""

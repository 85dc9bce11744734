"""The outermost layer of a server: what a caller can make it hold, and for how long."""

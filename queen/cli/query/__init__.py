"""`queen query`: send samples to a server and show its answers."""

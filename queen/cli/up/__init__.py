"""`queen up`: the three services on this machine, together."""

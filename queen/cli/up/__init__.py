"""`queen up`: runs the three services together on this machine."""

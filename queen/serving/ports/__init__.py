"""Ports: where a server listens, the certificates that it shows, and who may call it."""

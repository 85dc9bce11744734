"""`queen up`: the three services on this machine, together."""

from queen.cli.up.command import command

__all__ = ["command"]

"""`queen accounts`: make accounts, see what they have spent, change it."""

from queen.cli.accounts.command import command

__all__ = ["command"]

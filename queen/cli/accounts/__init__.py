"""`queen accounts`: make accounts, see what they have spent, change it."""

"""`queen accounts`: make accounts, show and change their ledgers."""

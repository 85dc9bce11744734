"""The ledger store in a SQLite file."""

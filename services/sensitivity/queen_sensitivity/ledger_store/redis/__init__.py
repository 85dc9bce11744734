"""The ledger store in Redis."""

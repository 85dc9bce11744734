"""The ledger step over simulated accounts, all at once."""

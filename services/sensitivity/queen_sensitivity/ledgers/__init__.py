"""Ledgers in memory: the records of accounts and groups at a known version of the store."""

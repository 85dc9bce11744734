"""`queen bench state` measures what the ledgers of many accounts cost."""

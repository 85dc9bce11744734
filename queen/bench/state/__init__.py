"""`queen bench state`: what the ledgers of many accounts cost."""

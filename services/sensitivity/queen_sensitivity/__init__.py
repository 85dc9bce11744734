"""The sensitivity service: verdicts on queries, and the ledgers that they follow from."""

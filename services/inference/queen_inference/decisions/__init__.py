"""The decision log: a record of the verdicts of each request."""

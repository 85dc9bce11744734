"""The report of a run: rows, tables and pictures."""

"""Reports of a run: rows, tables and plots."""

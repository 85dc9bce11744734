"""The engine: verdicts on the queries of micro-batches."""

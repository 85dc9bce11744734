"""docs/results.md, made from the JSON files in docs/results."""

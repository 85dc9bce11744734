"""The time of an answer, and what it tells of the verdict."""

"""What the time of an answer tells of its verdict."""

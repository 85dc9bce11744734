"""`queen bench`: measures what the defense costs."""

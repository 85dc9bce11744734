"""`queen bench`: measures what the defense costs, as ratios measured in one run."""

"""`queen bench`: what the defence costs, as ratios measured in one run."""

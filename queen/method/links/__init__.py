"""Links between accounts: overlaps of their records that chance does not explain."""

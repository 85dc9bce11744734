"""What a fit found: measures, prices of the profiles, advice, and how they are shown."""

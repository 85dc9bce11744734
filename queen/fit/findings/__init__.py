"""The findings of a fit: measures, prices of the profiles, advice, and how they are shown."""

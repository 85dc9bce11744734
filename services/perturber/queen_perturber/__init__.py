"""The perturber service: answers to flagged queries."""

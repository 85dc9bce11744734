"""The perturber service: answers for the queries whose verdict is REVERSE."""

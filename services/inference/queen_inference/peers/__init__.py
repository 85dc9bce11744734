"""Clients of the sensitivity and perturber services, and the health of both."""

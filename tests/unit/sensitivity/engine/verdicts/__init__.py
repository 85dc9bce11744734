"""Verdicts of the engine, by their reasons: groups, meters, scopes, facts, erasures."""

"""Plans: which attack meets which defense."""

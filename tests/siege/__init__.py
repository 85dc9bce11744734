"""A siege: hostile callers against services that hold no more than the limits of their pods."""

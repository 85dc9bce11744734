"""Lines that a service writes: bounded, sampled, rotated, and never waited for."""

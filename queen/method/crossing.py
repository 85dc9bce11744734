"""The crossing policy: when an owner is over its budget."""

from __future__ import annotations

CAP_OFF = 2**32 - 1
"""Class cap of an owner that has none; the number of the wire and of the decision log."""

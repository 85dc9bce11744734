"""The result of one check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from queen.errors import QueenError


@dataclass(frozen=True)
class Finding:
    """A checked subject, its problem in words if it has one, and a note if it has none."""

    subject: str
    problem: str | None
    note: str = ""


def examine(subject: str, check: Callable[[], str]) -> Finding:
    """Run a check that returns a note, or raises QueenError for a problem."""
    try:
        return Finding(subject, None, check())
    except QueenError as error:
        return Finding(subject, str(error))

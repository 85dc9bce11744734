"""The findings of a replay."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

MOST_SHOWN = 20
"""Contradictions that are kept in words; all are counted."""


@dataclass(frozen=True)
class Contradiction:
    """A claim of the log that does not follow from the rest of the log.

    `row` counts the queries of the request from 0. `what` is the field, or the rule, at fault.
    """

    file: str
    line: int
    row: int
    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}, query {self.row}"
        return f"{where}: {self.what}: expected {self.expected}, got {self.got}"


@dataclass
class ReplayReport:
    """Counts of a log, and the contradictions in it."""

    bundle_digest: str
    files: list[str] = field(default_factory=list)
    requests: int = 0
    """Requests with verdicts; a request that is there twice counts once."""
    rows: int = 0
    """Queries in these requests."""
    verdicts: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    profiles: Counter[str] = field(default_factory=Counter)
    """Queries by profile."""
    unassessed_rows: int = 0
    """Queries without a verdict: a failure mode answered them, or they were refused."""
    left_out_rows: int = 0
    """Queries that no record lists: their owner's share of the log was full, or their account had
    been refused in the same minute. None of them changed a ledger."""
    left_out_requests: int = 0
    """The requests with such queries."""
    failure_modes: Counter[str] = field(default_factory=Counter)
    """Requests that a failure mode answered, in whole or in part."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Requests that were given no answer, by reason."""
    reproduced: int = 0
    """Queries whose verdict, cause, sqs and cqs came out the same."""
    contradicting: int = 0
    """Queries of which at least one of these came out differently."""
    accounts: int = 0
    groups: int = 0
    ledgers: int = 0
    """Ledgers of a class, of accounts and groups, by generation."""
    records: int = 0
    """Records made in these ledgers."""
    gaps: int = 0
    """Number of times that a ledger has grown by records that are not in the log."""
    broken_chains: int = 0
    """Number of times that the records of a ledger contradict each other."""
    unfounded: int = 0
    """Ledgers in which an owner is said to be over, and none of its records make it so."""
    unshown: int = 0
    """The same, where the log may not hold all records of the owner."""
    stale: int = 0
    """Queries whose owner earlier queries of the request had put over, and that were decided
    without it: another writer was first. They were decided too mildly."""
    duplicates: int = 0
    """Lines that repeat another line, left out."""
    truncated: list[str] = field(default_factory=list)
    """Files whose last line is cut off."""
    other_lines: int = 0
    """Lines of other loggers, left out."""
    other_bundles: int = 0
    """Records of other bundles, left out."""
    first: str = ""
    last: str = ""
    """Times of the earliest and the latest record."""
    contradictions: list[Contradiction] = field(default_factory=list)
    """The first contradictions, at most MOST_SHOWN."""

    @property
    def is_reproduced(self) -> bool:
        """Whether every verdict came out the same and nothing contradicts."""
        return not (self.contradicting or self.broken_chains or self.unfounded)

    def add(self, contradiction: Contradiction) -> None:
        """Keep a contradiction if it is among the first."""
        if len(self.contradictions) < MOST_SHOWN:
            self.contradictions.append(contradiction)

    def add_file(self, path: Path) -> int:
        """Add a file; its index in `files`."""
        self.files.append(str(path))
        return len(self.files) - 1

    def as_json(self) -> dict[str, Any]:
        """The whole report, ready for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        shown = [asdict(contradiction) for contradiction in self.contradictions]
        return values | {"contradictions": shown, "is_reproduced": self.is_reproduced}

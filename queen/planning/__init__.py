"""Plans: what a policy would have done to the accounts of a decision log, had it been in force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from queen.bundle import Bundle
from queen.method.contracts import SCOPES, Profile
from queen.method.crossing import needed_classes
from queen.planning.policies import make_grid
from queen.planning.report import UNAFFECTED, AccountStory, Effect, Finding, PlanReport
from queen.planning.traffic import BoolArray, IntArray, ObservedTraffic, TrafficReader
from queen.planning.trial import NEVER, Outcome, PolicyTrial, Standing
from queen.replay.lines import LogReader
from queen.replay.report import ReplayReport

__all__ = ["PlanOptions", "PlanReport", "plan"]

_READING = (
    *("files", "requests", "unassessed_rows", "left_out_rows"),
    *("duplicates", "truncated", "other_lines", "other_bundles", "first", "last"),
)
"""Counts of a reading that a plan repeats."""


@dataclass(frozen=True)
class PlanOptions:
    """The policies to try, every combination of what is stated; empty stands for the usual.

    A chosen policy must spare the share `spare` of the accounts.
    """

    budgets: Sequence[int] = ()
    breadths: Sequence[int] = ()
    class_caps: Sequence[int] = ()
    profiles: Sequence[Profile] = ()
    spare: float = 0.999
    skip_other_bundles: bool = False


def plan(
    logs: Sequence[Path],
    bundle: Bundle,
    options: PlanOptions = PlanOptions(),
    *,
    progress: Callable[[int], None] = lambda _policies: None,
) -> PlanReport:
    """Try policies on the accounts under `observe` of `logs`, in any order.

    `progress` is called with the number of policies that are tried. Raises ConfigError for a
    budget or cap without room, DecisionLogInvalid, with file and line, for a log that is no
    decision log of this bundle or has no observed account, and OSError for a file that cannot be
    read.
    """
    grid = make_grid(bundle, options.budgets, options.breadths, options.class_caps)
    reading = ReplayReport(bundle.digest)
    lines = LogReader(bundle, reading, skip_other_bundles=options.skip_other_bundles)
    reader = TrafficReader(reading.files, bundle.geometry)
    for chunk in lines.chunks(logs):
        reader.add(chunk)
    traffic = reader.close()
    report = PlanReport(bundle.digest, options.spare, policies_without_room=grid.without_room)
    report.reading = {name: getattr(reading, name) for name in _READING}
    _count(report, reader, traffic)
    profiles = list(
        options.profiles or (profile for profile in Profile if profile not in UNAFFECTED)
    )
    summary = _Summary(traffic, lines.accounts, bundle.manifest.num_classes)
    trial = PolicyTrial(traffic, bundle, len(lines.accounts))
    scopes = list({SCOPES[profile] for profile in profiles})
    for policy in grid.policies:
        report.findings.append(summary.finding(trial.outcome(policy, scopes), profiles))
        progress(len(report.findings))
    report.choose(profiles)
    for policy in filter(None, report.chosen.values()):
        if policy not in report.stories:
            report.stories[policy] = summary.stories(trial.outcome(policy, []))
    return report


def _count(report: PlanReport, reader: TrafficReader, traffic: ObservedTraffic) -> None:
    """Count what the log holds, and what it lacks."""
    is_counted = ~traffic.is_exempt
    observed = np.unique(traffic.accounts)
    report.accounts = len(np.unique(traffic.accounts[is_counted]))
    report.exempt_accounts = len(observed) - report.accounts
    report.groups = len(np.unique(traffic.grouped.owners))
    report.queries = int(is_counted.sum())
    report.days = np.unique(traffic.days).astype(str).tolist()
    short, own_gaps, own_overlaps = traffic.own.breaks()
    short_groups, gaps, overlaps = traffic.grouped.breaks()
    report.gaps, report.contradictions = own_gaps + gaps, own_overlaps + overlaps
    grouped = traffic.grouped
    is_short = np.isin(grouped.owners[grouped.life], short_groups)
    members = traffic.accounts[grouped.rows[is_short]]
    report.accounts_with_gaps = len(np.union1d(short, members))
    report.resets = traffic.own.resets + grouped.resets
    report.other_queries = reader.other_rows
    report.partly_observed = len(reader.other_accounts & set(observed.tolist()))
    report.mixed_groups = len(reader.other_groups & set(grouped.owners.tolist()))


class _Summary:
    """Sums outcomes up, account by account."""

    def __init__(self, traffic: ObservedTraffic, hashes: Sequence[str], num_classes: int) -> None:
        self._num_classes = num_classes
        self._traffic = traffic
        self._hashes = hashes
        self._counted = np.unique(traffic.accounts[~traffic.is_exempt])
        self._days, self._day = np.unique(traffic.days, return_inverse=True)
        # The queries of an account lie together, in order, behind those of lower accounts.
        self._sorted = np.argsort(traffic.accounts, kind="stable")
        self._starts = np.searchsorted(
            traffic.accounts[self._sorted], np.arange(len(hashes) + 1), side="left"
        )

    def finding(self, outcome: Outcome, profiles: Sequence[Profile]) -> Finding:
        """The outcome for the accounts that are not exempt, in numbers."""
        over = outcome.over[self._counted]
        hit = self._counted[over < NEVER]
        # The query before the position used the budget up; a member may have come after that.
        first_rows = self._sorted[self._starts[hit]]
        days = self._day[np.maximum(over[over < NEVER] - 1, first_rows)]
        firsts = [self._asked(account, int(outcome.over[account])) for account in hit.tolist()]
        return Finding(
            policy=outcome.policy,
            needed_classes=needed_classes(outcome.policy.breadth, self._num_classes),
            over=len(hit),
            off_distribution=self._off_distribution(outcome),
            over_by_day=np.bincount(days, minlength=len(self._days)).cumsum().tolist(),
            median_first=float(np.median(firsts)) if firsts else None,
            effects={
                profile: self._effect(outcome.reversed_rows[SCOPES[profile]])
                for profile in profiles
            },
        )

    def stories(self, outcome: Outcome) -> list[AccountStory]:
        """The accounts that would have crossed a class or been over, the earliest over first."""
        crossed = self._crossed(outcome.own)
        over = outcome.over.tolist()
        told = [
            account
            for account in self._counted.tolist()
            if over[account] < NEVER or account in crossed
        ]
        return [
            AccountStory(
                self._hashes[account],
                self._asked(account, over[account]) if over[account] < NEVER else None,
                crossed.get(account, []),
            )
            for account in sorted(told, key=over.__getitem__)
        ]

    def _off_distribution(self, outcome: Outcome) -> int:
        """Accounts of which a query found them, or their group, off-distribution."""
        is_off = np.zeros(len(self._traffic), np.bool_)
        for standing in (outcome.own, outcome.grouped):
            is_off[standing.charged.rows] |= standing.is_off
        return len(np.unique(self._traffic.accounts[is_off & ~self._traffic.is_exempt]))

    def _effect(self, is_reversed: BoolArray) -> Effect:
        harmed = len(np.unique(self._traffic.accounts[is_reversed]))
        queries = int((~self._traffic.is_exempt).sum())
        return Effect(len(self._counted) - harmed, float(is_reversed.sum() / max(queries, 1)))

    def _asked(self, account: int, position: int) -> int:
        """Queries of an account before a position."""
        return int(np.searchsorted(self._rows(account), position))

    def _rows(self, account: int) -> IntArray:
        return self._sorted[self._starts[account] : self._starts[account + 1]]

    def _crossed(self, own: Standing) -> dict[int, list[tuple[int, int]]]:
        """Crossed classes of accounts in order, each with the query that crossed it."""
        ledgers = np.flatnonzero(own.crossed < NEVER)
        ledgers = ledgers[np.argsort(own.crossed[ledgers], kind="stable")]
        owners = own.charged.owners[own.charged.ledgers.life[ledgers]]
        labels = own.charged.ledgers.labels[ledgers]
        crossed: dict[int, list[tuple[int, int]]] = {}
        for account, label, position in zip(
            owners.tolist(), labels.tolist(), own.crossed[ledgers].tolist(), strict=True
        ):
            asked = self._asked(account, position)
            crossed.setdefault(account, []).append((label, asked))
        return crossed

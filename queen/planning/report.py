"""The findings of a plan, ready for a table, a picture and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from queen.method.contracts import SCOPES, Profile
from queen.method.crossing import OFF, CrossingPolicy, cap_text
from queen.method.enforcement import Scope

UNAFFECTED = (Profile.OBSERVE, Profile.SAFE)
"""Profiles under which no answer depends on a verdict."""


@dataclass(frozen=True)
class Effect:
    """The difference that a policy under a profile would have made to the accounts."""

    spared: int
    """Accounts that were answered like under `observe` throughout."""
    changed: float
    """Share of the queries that were not."""


@dataclass(frozen=True)
class Finding:
    """The outcome of a policy in numbers; accounts that are exempt are not counted."""

    policy: CrossingPolicy
    needed_classes: int
    """Crossed classes that make an account over its budget, by the breadth and the bundle."""
    over: int
    """Accounts over their budget at the end, by themselves or with their group."""
    off_distribution: int
    """Accounts that were off-distribution at some query, by themselves or with their group."""
    over_by_day: list[int]
    """The same at the end of each day."""
    median_first: float | None
    """Median of the number of queries that those accounts had asked when they were over."""
    effects: dict[Profile, Effect]

    def as_json(self) -> dict[str, Any]:
        """The finding, ready for JSON."""
        return asdict(self) | {"policy": policy_json(self.policy)}


@dataclass(frozen=True)
class AccountStory:
    """When an account would have been over; queries are its own, counted from 1."""

    account_hash: str
    over_after: int | None
    """Queries that it had asked when it was over; None if it was not."""
    crossed: list[tuple[int, int]]
    """Crossed classes of the account in order, each with the query that crossed it."""


@dataclass
class PlanReport:
    """The observed traffic of a log, and what each policy would have done to it."""

    bundle_digest: str
    spare: float
    """Share of the accounts that a chosen policy must spare."""
    accounts: int = 0
    """Accounts under `observe`, without those that are exempt."""
    exempt_accounts: int = 0
    groups: int = 0
    queries: int = 0
    """Queries of these accounts."""
    days: list[str] = field(default_factory=list)
    """Days of the log, in UTC."""
    gaps: int = 0
    """Number of times that an observed ledger has grown by records that are not in the log."""
    accounts_with_gaps: int = 0
    """Accounts of which, or of whose group, that is so: they may cross before the log shows it."""
    contradictions: int = 0
    """Number of times that the records of an observed ledger contradict each other."""
    resets: int = 0
    """Erasures amid the log, after which an account or a group began anew."""
    other_queries: int = 0
    """Queries of accounts that were not under `observe`, left out."""
    partly_observed: int = 0
    """Accounts that were under `observe` for a part of the log only."""
    mixed_groups: int = 0
    """Groups with members that were not under `observe`, whose queries are not counted."""
    policies_without_room: int = 0
    """Policies that were left out since their class cap is above the largest budget."""
    reading: dict[str, Any] = field(default_factory=dict)
    """Lines of the log that were left out, and the requests without a verdict."""
    findings: list[Finding] = field(default_factory=list)
    """Findings of the policies, the strictest policy first."""
    chosen: dict[Profile, CrossingPolicy | None] = field(default_factory=dict)
    """The strictest policy that spares the stated share of accounts, by profile."""
    stories: dict[CrossingPolicy, list[AccountStory]] = field(default_factory=dict)
    """For each chosen policy, the accounts that would have crossed a class or been over."""

    def choose(self, profiles: Sequence[Profile]) -> None:
        """Find the strictest policy for each profile that spares enough accounts."""
        for profile in profiles:
            enough = (
                finding.policy
                for finding in self.findings
                if finding.effects[profile].spared >= self.spare * self.accounts
            )
            self.chosen[profile] = next(enough, None)

    def as_json(self) -> dict[str, Any]:
        """The whole report, ready for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {
            "findings": [finding.as_json() for finding in self.findings],
            "chosen": {
                profile: policy and policy_json(policy) for profile, policy in self.chosen.items()
            },
            "stories": [
                {"policy": policy_json(policy), "accounts": [asdict(story) for story in stories]}
                for policy, stories in self.stories.items()
            ],
        }


def policy_json(policy: CrossingPolicy) -> dict[str, Any]:
    """A policy as accounts.yaml states it."""
    cap = cap_text(policy.class_cap)
    return {
        "budget": policy.budget,
        "breadth": policy.breadth,
        "class_cap": cap if cap == OFF else policy.class_cap,
    }


def exactness(profile: Profile) -> str:
    """Words before a share of changed answers: empty if it is exact.

    Under `paper` an account that is over records nothing more of its crossed classes, so that more
    queries are new to it than the log knows. Under `refuse` nothing is charged after the first
    refusal, so all that follows it is taken for refused.
    """
    scope = SCOPES[profile]
    return {Scope.QUERY: "at least", Scope.REPEATED: "at most"}.get(scope, "")

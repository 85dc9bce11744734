"""A plan and a served run of the same traffic agree, query by query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from queen_inference.peers.sensitivity import Assessed
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle, open_bundle
from queen.method.contracts import SCOPES, Profile
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.facts import GROUP_SHIFT, Fact
from queen.method.ledger import Verdict
from queen.method.sensitivity import budget_thresholds
from queen.planning import PlanOptions, PlanReport, plan
from queen.planning.policies import policy_text
from queen.replay import replay
from queen.serving.logging import account_hash
from tests.bundles import CLASSES, make_bundle
from tests.unit.replay.written import Row, WrittenLog

ACCOUNTS, QUERIES, BATCH = 200, 120, 500
OBSERVED_BUDGET = 20
"""The budget in force while the log is written; every policy below has a larger one."""
POLICIES = [
    *(CrossingPolicy(budget, 1, CAP_OFF) for budget in (20, 35)),
    *(CrossingPolicy(15, 2, class_cap) for class_cap in (1, 3, CAP_OFF)),
]


@dataclass(frozen=True, eq=False)
class Traffic:
    """Queries of all accounts in the order in which they are sent."""

    policies: Sequence[AccountPolicy]
    batches: Sequence[Sequence[Row]]

    @property
    def accounts(self) -> NDArray[np.int64]:
        """The account of each query."""
        return np.array([row[0] for batch in self.batches for row in batch])

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each query."""
        return np.array([row[1] for batch in self.batches for row in batch])


def simulate(seed: int = 0) -> Traffic:
    """Accounts of different tastes: all classes, two, one; some in groups, some of odd inputs."""
    rng = np.random.default_rng(seed)
    weights = np.array([[1, 1, 1, 1], [5, 5, 0.3, 0.3], [8, 1, 0.1, 0.1], [1, 0, 0, 0]], float)
    taste = rng.integers(0, len(weights), ACCOUNTS)
    pace = rng.uniform(0.05, 1.0, ACCOUNTS)
    policies = [
        AccountPolicy(f"account-{index}", group=f"group-{index % 20}" if index % 4 == 0 else "")
        for index in range(ACCOUNTS)
    ]
    senders = rng.choice(ACCOUNTS, ACCOUNTS * QUERIES, p=pace / pace.sum())
    chosen = weights / weights.sum(axis=1, keepdims=True)
    rows: list[Row] = []
    for sender in senders.tolist():
        label = int(rng.choice(CLASSES, p=chosen[taste[sender]]))
        reach = (
            6.0 if sender % 25 == 7 and rng.random() < 0.3 else 1.05 * float(rng.random()) ** 0.5
        )
        rows.append((sender, label, float(rng.uniform(0, 2 * np.pi)), reach))
    return Traffic(policies, [rows[cut : cut + BATCH] for cut in range(0, len(rows), BATCH)])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose regions have room for a few budgets."""
    path = Path(tmp_path_factory.mktemp("plan")) / "bundle"
    make_bundle(path, coverage_fraction=0.1)
    return open_bundle(path)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """The same traffic for the log and for every served run."""
    return simulate()


@pytest.fixture(scope="module")
def log(bundle: Bundle, traffic: Traffic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of the traffic under `observe`."""
    written = WrittenLog(bundle, budget=OBSERVED_BUDGET)
    observed = [replace(policy, is_observed=True) for policy in traffic.policies]
    for batch in traffic.batches:
        written.ask(observed, batch)
    return written.write(Path(tmp_path_factory.mktemp("plan")) / "decisions.jsonl")


@dataclass(frozen=True, eq=False)
class Served:
    """Outcome of a served run, query by query."""

    traffic: Traffic
    thresholds: NDArray[np.float64]
    parts: Sequence[Assessed]

    def column(self, name: str) -> NDArray[np.float64]:
        """A field of the facts of all queries."""
        values: NDArray[np.float64] = np.concatenate([part.facts[name] for part in self.parts])
        return values

    @property
    def is_reversed(self) -> NDArray[np.bool_]:
        """Whether each query was reversed."""
        verdicts = np.concatenate([part.verdicts for part in self.parts])
        return verdicts == Verdict.REVERSE

    @property
    def spared(self) -> int:
        """Accounts of which no query was reversed."""
        return ACCOUNTS - len(np.unique(self.traffic.accounts[self.is_reversed]))

    @property
    def off_distribution(self) -> int:
        """Accounts that were off-distribution, by themselves or with their group."""
        off = Fact.OFF_DISTRIBUTION | Fact.OFF_DISTRIBUTION << GROUP_SHIFT
        is_off = self.column("bits").astype(int) & off > 0
        return len(np.unique(self.traffic.accounts[is_off]))

    def crossed(self, account: int) -> list[tuple[int, int]]:
        """Crossed classes of an account, each with its query that crossed it, from 1."""
        rows = np.flatnonzero(self.traffic.accounts == account)
        labels = self.traffic.labels[rows]
        limit = self.thresholds[labels]
        before, after = self.column("cqs_before")[rows], self.column("cqs_after")[rows]
        found = np.flatnonzero((before <= limit) & (after > limit))
        return [(int(labels[at]), int(at) + 1) for at in found]

    def over_after(self, account: int) -> int | None:
        """Queries of an account before the first that found it, or its group, over."""
        rows = np.flatnonzero(self.traffic.accounts == account)
        bits = self.column("bits")[rows].astype(int)
        found = np.flatnonzero(bits & (Fact.OVER | Fact.OVER << GROUP_SHIFT))
        return int(found[0]) if len(found) else None


def serve(bundle: Bundle, traffic: Traffic, policy: CrossingPolicy, profile: Profile) -> Served:
    """The traffic under a policy and a profile, from empty ledgers."""
    engine = WrittenLog(bundle, crossing=policy)
    served = [replace(one, scope=SCOPES[profile]) for one in traffic.policies]
    parts = [engine.ask(served, batch) for batch in traffic.batches]
    table = budget_thresholds(bundle.geometry, bundle.mean_squared_sqs, policy.budget)
    return Served(traffic, table, parts)


def findings_of(log: Path, bundle: Bundle, policy: CrossingPolicy) -> PlanReport:
    """The plan of one policy."""
    options = PlanOptions([policy.budget], [policy.breadth], [policy.class_cap], spare=0.0)
    return plan([log], bundle, options)


@pytest.mark.parametrize("policy", POLICIES, ids=policy_text)
def test_a_plan_tells_the_crossings_of_a_served_run(
    bundle: Bundle, traffic: Traffic, log: Path, policy: CrossingPolicy
) -> None:
    """Account, class and query of every crossing, and when each account is over."""
    report = findings_of(log, bundle, policy)
    stories = {story.account_hash: story for story in report.stories[policy]}
    (finding,) = report.findings
    served = serve(bundle, traffic, policy, Profile.STRICT)
    told = 0
    for account, name in enumerate(one.account_id for one in traffic.policies):
        story = stories.get(account_hash(name))
        crossed = served.crossed(account)
        assert (story.crossed if story else []) == crossed
        over = served.over_after(account)
        asked = int((traffic.accounts == account).sum())
        planned = story.over_after if story else None
        # A plan also tells of accounts that only their next query would have found over.
        assert over == (planned if planned is not None and planned < asked else None)
        told += len(crossed)
    assert told > 50
    assert 0 < finding.over < ACCOUNTS
    assert finding.effects[Profile.STRICT].changed == served.is_reversed.mean()
    assert finding.effects[Profile.STRICT].spared == served.spared
    assert finding.off_distribution == served.off_distribution > 0


@pytest.mark.parametrize("policy", POLICIES[1::3], ids=policy_text)
def test_a_plan_bounds_what_it_cannot_tell(
    bundle: Bundle, traffic: Traffic, log: Path, policy: CrossingPolicy
) -> None:
    """Under `paper` and `refuse`, what follows the first reversal depends on it."""
    (finding,) = findings_of(log, bundle, policy).findings
    paper = serve(bundle, traffic, policy, Profile.PAPER)
    effect = finding.effects[Profile.PAPER]
    assert 0 < effect.changed <= paper.is_reversed.mean()
    assert effect.spared == paper.spared
    refuse = serve(bundle, traffic, policy, Profile.REFUSE)
    effect = finding.effects[Profile.REFUSE]
    assert effect.changed >= refuse.is_reversed.mean() > 0
    # Few queries outside of a region have a record near them.
    assert refuse.spared - 3 <= effect.spared <= refuse.spared


def test_a_log_of_observed_accounts_is_reproduced(bundle: Bundle, log: Path) -> None:
    """What is kept apart is replayed like the rest."""
    report = replay([log], bundle)
    assert report.contradictions == []
    assert report.is_reproduced
    assert report.gaps == 0

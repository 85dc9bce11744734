"""Counts how often a policy and the off-distribution meter harm honest accounts, by their traffic.

Simulated accounts of each kind send new samples; a walk over their ledgers, held to the engine of
the sensitivity service by a test, gives the verdicts. Shapes: N samples, A accounts, Q queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from queen_inference.protectee import Protectee

from queen.bench.samples import open_protectee, read_labeled, see_samples
from queen.bundle import Bundle, open_bundle
from queen.defaults import CHARGE
from queen.fit.findings.honest_traffic import Seen, honest_volumes
from queen.method.contracts import SCOPES, Profile
from queen.method.crossing import CrossingPolicy, PolicyThresholds, cap_text, policy_thresholds
from queen.method.honest.traffic import CHANGED, HonestSamples, Kind, Rows
from queen.method.sensitivity import Charge
from queen.method.walk.ledger_walk import NEVER, LedgerWalk, first_true
from queen.method.walk.sent_samples import Positions, SentSamples

HISTORIES = (0, 500, 2000, 10_000)
"""Earlier queries of an account at which right answers are reported."""
_WINDOW = 250


@dataclass(frozen=True)
class HonestOptions:
    """`accounts` simulated accounts of each kind, of `queries` each, under a profile and policy.

    `train` is the npz that the bundle was fitted with, from which the published volumes follow;
    `data` are npz files with samples x that the protectee never saw. Accounts choose what they ask
    about by the labels y of a file, or by predicted classes without any.
    """

    bundle: Path
    train: Path
    data: tuple[Path, ...]
    profile: Profile
    policy: CrossingPolicy
    accounts: int = 1000
    queries: int = 10_000
    seed: int = 0
    charge: Charge = CHARGE


@dataclass(frozen=True)
class HonestBench:
    """The results for the accounts of a kind.

    `volume` is the published number of queries within the budget, of this kind (None: 10,000 and
    more; of repeated items and drift the one of even traffic, since a fit cannot know better).
    `harmed` counts accounts with a reversed or refused query, `harmed_before_volume` those with
    one before it. `first_harm` are the 0.1 %, 50 % and 99.9 % quantiles of the answers before the
    first one. `flagged` counts accounts that the off-distribution meter flagged, by queries.
    `right` pairs a history with the share of right answers there, where a reversed answer counts as
    wrong; `right_undefended` is the protectee's own share.
    """

    kind: str
    profile: str
    budget: int
    breadth: int
    class_cap: str
    charge: str
    accounts: int
    queries: int
    samples: int
    volume: int | None
    harmed: int
    harmed_before_volume: int
    first_harm: list[int | None]
    flagged: dict[str, int]
    right: list[list[float]]
    right_undefended: float
    seed: int
    bundle_digest: str


def run_honest_bench(
    options: HonestOptions, on_kind: Callable[[int, int], None] = lambda _done, _all: None
) -> list[dict[str, Any]]:
    """A HonestBench for each kind that makes sense for the samples, as dictionaries.

    `on_kind` is called with the number of kinds that are done, and of all. Raises ConfigError for a
    file without samples, and for a policy for which the regions have no room.
    """
    bundle = open_bundle(options.bundle)
    bench = _Bench(options, bundle, open_protectee(bundle))
    volumes = bench.volumes()
    kinds, rows = bench.samples.kinds(), []
    for done, kind in enumerate(kinds, 1):
        rows.append(asdict(bench.measure(kind, volumes.get(kind, volumes[Kind.EVEN]))))
        on_kind(done, len(kinds))
    return rows


class _Bench:
    """The protectee, the policy's thresholds, and the samples that accounts send."""

    def __init__(self, options: HonestOptions, bundle: Bundle, protectee: Protectee) -> None:
        self._options = options
        self._bundle = bundle
        self._protectee = protectee
        self._policy: PolicyThresholds = policy_thresholds(
            bundle.geometry, bundle.mean_squared_sqs, options.policy
        )
        files = [read_labeled(file) for file in options.data]
        inputs = np.concatenate([x for x, _ in files])
        self._unchanged = see_samples(protectee, inputs)
        _, predicted = self._unchanged
        ends = np.cumsum([len(x) for x, _ in files])[:-1]
        known = zip(files, np.split(predicted, ends), strict=True)
        self._labels = np.concatenate([own if y is None else y for (_, y), own in known])
        self.samples = HonestSamples(inputs, self._labels)

    def volumes(self) -> dict[Kind, int | None]:
        """The volumes that `queen fit` publishes, under this policy."""
        x, y = read_labeled(self._options.train)
        embeddings, predicted = see_samples(self._protectee, x)
        seen = Seen(embeddings, predicted, predicted if y is None else y)
        options = self._options
        return honest_volumes(
            self._bundle.geometry, seen, self._policy, options.seed, options.charge
        )

    def measure(self, kind: Kind, volume: int | None) -> HonestBench:
        """The results for accounts of a kind with that published volume."""
        options = self._options
        rng = np.random.default_rng([options.seed, list(Kind).index(kind)])
        views = self.samples.views(kind, rng)
        seen = see_samples(self._protectee, views.inputs) if kind in CHANGED else self._unchanged
        orders = views.orders(options.accounts, options.queries, rng)
        walk = LedgerWalk(SentSamples(self._bundle.geometry, *seen, options.charge))
        is_harmed, flagged = self._harm(walk, orders)
        is_right = (walk.samples.labels == self._labels[views.rows])[orders]
        first = first_true(is_harmed)
        return HonestBench(
            kind=kind.value,
            profile=options.profile.value,
            budget=options.policy.budget,
            breadth=options.policy.breadth,
            class_cap=cap_text(options.policy.class_cap),
            charge=options.charge.value,
            accounts=options.accounts,
            queries=options.queries,
            samples=len(self._labels),
            volume=volume,
            harmed=int((first < NEVER).sum()),
            harmed_before_volume=int((first < (volume or options.queries)).sum()),
            first_harm=_quantiles(first),
            flagged={str(count): int((flagged < count).sum()) for count in self._counts()},
            right=self._right_by_history(is_right & ~is_harmed),
            right_undefended=round(float(is_right.mean()), 4),
            seed=options.seed,
            bundle_digest=self._bundle.digest,
        )

    def _harm(self, walk: LedgerWalk, orders: Rows) -> tuple[NDArray[np.bool_], Positions]:
        """Reversed and refused queries (A, Q), and the query that flags each account (A,)."""
        scope = SCOPES[self._options.profile]
        flagged = walk.flagged(orders, self._bundle.meter, self._policy)
        is_harmed = walk.enforced(orders, self._policy, scope, flagged).is_reversed
        if self._options.profile in {Profile.SAFE, Profile.OBSERVE}:
            is_harmed[:] = False
        return is_harmed, flagged

    def _counts(self) -> list[int]:
        most = self._options.queries
        return [*(count for count in HISTORIES[1:] if count < most), most]

    def _right_by_history(self, is_right: NDArray[np.bool_]) -> list[list[float]]:
        """Shares over 250 queries on either side of a history, over all accounts."""
        return [
            [count, round(float(is_right[:, max(0, count - _WINDOW) : count + _WINDOW].mean()), 4)]
            for count in (0, *self._counts())
        ]


def _quantiles(firsts: Positions) -> list[int | None]:
    values = np.quantile(firsts, [0.001, 0.5, 0.999], method="lower")
    return [None if value == NEVER else int(value) for value in values]

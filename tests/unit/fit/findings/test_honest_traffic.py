import numpy as np
import pytest

from queen.fit.findings import honest_traffic
from queen.fit.findings.honest_traffic import QUERIES, Seen, honest_volumes
from queen.method.crossing import CAP_OFF, CrossingPolicy, PolicyThresholds, policy_thresholds
from queen.method.geometry import Geometry, fit_geometry
from queen.method.honest.traffic import CHANGED, ClassRows, Kind
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from queen.method.sensitivity import mean_squared_sensitivity
from tests.unit.fit.blobs import blobs

CLASSES = 6
LOOKED_AT = 500
"""Queries of each account that are compared: the first account is over long before."""


def _regions(budget: int, breadth: int = 1) -> tuple[Geometry, Seen, PolicyThresholds]:
    """Regions in the plane, samples of which a few are predicted wrong, and a policy."""
    embeddings, labels = blobs(classes=CLASSES, per_class=150, width=2)
    predicted = np.where(np.arange(len(labels)) % 20 == 0, 0, labels)
    geometry = fit_geometry(embeddings, labels, CLASSES, coverage_fraction=0.1)
    squared = mean_squared_sensitivity(geometry, embeddings, predicted)
    policy = policy_thresholds(geometry, squared, CrossingPolicy(budget, breadth, CAP_OFF))
    return geometry, Seen(embeddings, predicted, labels), policy


def _over(geometry: Geometry, seen: Seen, policy: PolicyThresholds) -> int | None:
    """Position of the query that makes the account over, by the ledger step."""
    count = len(seen.predicted)
    rows = LedgerRows(seen.embeddings, seen.predicted, seen.predicted)
    levels = LedgerLevels(np.zeros(CLASSES), np.full(CLASSES, np.inf))
    step = assess_rows(geometry, rows, np.full(count, np.inf), levels)
    crossing: dict[int, int] = {}
    for row in np.flatnonzero(step.cqs_after > policy.thresholds[seen.predicted]).tolist():
        crossing.setdefault(int(seen.predicted[row]), row)
    firsts: list[int] = sorted(crossing.values())
    return firsts[policy.needed - 1] if len(firsts) >= policy.needed else None


@pytest.mark.parametrize(("budget", "breadth"), [(1, 1), (5, 1), (20, 1), (20, 3)])
def test_the_volume_is_that_of_the_ledger_step(budget: int, breadth: int) -> None:
    """The fewest queries of 100 even accounts until one is over, less a tenth."""
    geometry, seen, policy = _regions(budget, breadth)
    rng = np.random.default_rng([7, 3])
    firsts = []
    for _ in range(100):
        order = ClassRows(seen.classes).draw(Kind.EVEN, QUERIES, rng)[:LOOKED_AT]
        over = _over(geometry, seen.part(order), policy)
        firsts.append(LOOKED_AT if over is None else over)
    assert min(firsts) < LOOKED_AT
    volumes = honest_volumes(geometry, seen, policy, 7)
    assert volumes[Kind.EVEN] == int(0.9 * (min(firsts) + 1))


def test_every_kind_of_unchanged_samples_has_its_volume() -> None:
    """Who asks about one class is over long before who asks about all, unless three must cross."""
    geometry, seen, policy = _regions(20)
    volumes = honest_volumes(geometry, seen, policy, 0)
    assert set(volumes) == set(Kind) - set(CHANGED)
    one_class, even = volumes[Kind.ONE_CLASS], volumes[Kind.EVEN]
    assert one_class is not None
    assert even is not None
    assert 0 < one_class < even
    geometry, seen, broad = _regions(20, breadth=3)
    assert honest_volumes(geometry, seen, broad, 0)[Kind.ONE_CLASS] is None


def test_a_threshold_that_is_never_crossed_limits_no_volume() -> None:
    """No account of any kind is over within 10,000 queries."""
    geometry, seen, _ = _regions(20)
    never = PolicyThresholds(0, np.full(CLASSES, np.inf), None, 1)
    assert set(honest_volumes(geometry, seen, never, 0).values()) == {None}


def test_very_many_samples_are_drawn_from_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and time do not grow with the training set."""
    geometry, seen, policy = _regions(20)
    many = honest_volumes(geometry, seen, policy, 0)
    monkeypatch.setattr(honest_traffic, "_MOST_SAMPLES", 200)
    few = honest_volumes(geometry, seen, policy, 0)
    assert few != many

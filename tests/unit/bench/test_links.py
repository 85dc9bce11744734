"""The bench that measures how well accounts are linked."""

from __future__ import annotations

from queen.bench.links import run_links_bench
from tests.bundles import SmallBundle


def test_shared_samples_link_accounts_and_disjoint_ones_do_not(small: SmallBundle) -> None:
    """A score must not claim links that it cannot see: disjoint parts stay near chance."""
    data = small.path.parent / "test.npz"
    rows = run_links_bench(small.path, data, accounts=3, queries=100)
    by_split = {row["split"]: row for row in rows}
    assert by_split["a tenth in common"]["auc"] > 0.9
    assert by_split["disjoint parts of a pool"]["linked"] == 0.0
    assert all(row["false_links"] == 0.0 for row in rows)

"""The bench that counts what honest accounts meet."""

from __future__ import annotations

from queen.bench.honest import HonestOptions, run_honest_bench
from tests.bundles import SmallBundle


def test_no_honest_account_is_reversed_before_the_published_volume(small: SmallBundle) -> None:
    """The volume comes from the training set, the accounts send samples it does not hold."""
    folder, done = small.path.parent, []
    options = HonestOptions(
        small.path, folder / "train.npz", folder / "test.npz", budget=10, accounts=60
    )
    row = run_honest_bench(options, done.append)
    assert done == [50, 60]
    assert row["accounts"] == 60
    assert 0 < row["volume"] < 1200
    assert row["reversed_before_volume"] == 0
    assert row["first_reversal"][0] >= row["volume"]
    assert row["flagged"][str(row["volume"])] == 0

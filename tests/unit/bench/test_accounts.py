"""The benches that count what honest accounts meet and how well accounts are linked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.bench.honest import run_honest_bench
from queen.bench.links import run_links_bench
from queen.errors import ConfigError
from tests.bundles import SmallBundle, make_bundle


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with its samples as npz files beside it."""
    folder = Path(tmp_path_factory.mktemp("bench"))
    bundle = make_bundle(folder / "bundle", samples=2400)
    np.savez(folder / "train.npz", x=bundle.inputs[:1200])
    np.savez(folder / "test.npz", x=bundle.inputs[1200:])
    return bundle


def _file(small: SmallBundle, name: str) -> Path:
    return small.path.parent / name


def test_no_honest_account_is_reversed_before_the_published_volume(small: SmallBundle) -> None:
    """The volume comes from the training set, the accounts send samples it does not hold."""
    row = run_honest_bench(
        small.path, _file(small, "train.npz"), _file(small, "test.npz"), budget=10, accounts=40
    )
    assert row["accounts"] == 40
    assert 0 < row["volume"] < 1200
    assert row["reversed_before_volume"] == 0
    assert row["first_reversal"][0] >= row["volume"]
    assert row["flagged"][str(row["volume"])] == 0


def test_shared_samples_link_accounts_and_disjoint_ones_do_not(small: SmallBundle) -> None:
    """What a score cannot see, it must not claim to see: disjoint parts stay near chance."""
    rows = run_links_bench(small.path, _file(small, "test.npz"), accounts=3, queries=100)
    by_split = {row["split"]: row for row in rows}
    assert by_split["a tenth in common"]["auc"] > 0.9
    assert by_split["disjoint parts of a pool"]["linked"] == 0.0
    assert all(row["false_links"] == 0.0 for row in rows)


def test_a_file_without_samples_is_refused(small: SmallBundle, tmp_path: Path) -> None:
    """The message says what was expected of which file."""
    np.savez(tmp_path / "empty.npz", z=np.zeros(3))
    with pytest.raises(ConfigError, match="expected an npz file with samples x"):
        run_links_bench(small.path, tmp_path / "empty.npz")

"""The bench that counts what honest accounts meet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from queen.bench.honest import HonestOptions, run_honest_bench
from queen.errors import ConfigError
from queen.fit.findings import honest_traffic
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.honest.traffic import Kind
from tests.bundles import SmallBundle


@pytest.fixture(autouse=True)
def _short_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts of a volume ask as much as those of the bench."""
    monkeypatch.setattr(honest_traffic, "QUERIES", 1500)


def _options(small: SmallBundle) -> HonestOptions:
    folder = small.path.parent
    return HonestOptions(
        small.path,
        folder / "train.npz",
        (folder / "test.npz",),
        Profile.STRICT,
        CrossingPolicy(10, 1, CAP_OFF),
        accounts=60,
        queries=1500,
    )


def test_no_honest_account_is_harmed_before_the_published_volume(small: SmallBundle) -> None:
    """The volumes come from the training set, the accounts send samples it does not hold."""
    done: list[tuple[int, int]] = []
    rows = run_honest_bench(_options(small), lambda *counts: done.append(counts))
    kinds = [kind.value for kind in Kind if kind is not Kind.FOUR_CLASSES]
    assert [row["kind"] for row in rows] == kinds
    assert done == [(count, len(kinds)) for count in range(1, len(kinds) + 1)]
    even, one_class = rows[0], rows[1]
    assert 0 < one_class["volume"] < even["volume"] < 1500
    for row in (even, one_class):
        assert row["harmed_before_volume"] == 0
        assert row["harmed"] == 60
        assert row["first_harm"][0] >= row["volume"]
        assert row["right"][-1] == [1500, 0.0]


def test_breadth_spares_who_asks_about_few(small: SmallBundle) -> None:
    """Two of four classes must cross; a class cap of one budget takes that back."""
    broad = replace(_options(small), policy=CrossingPolicy(10, 2, CAP_OFF))
    rows = {row["kind"]: row for row in run_honest_bench(broad)}
    assert rows[Kind.ONE_CLASS]["harmed"] < 60 == rows[Kind.EVEN]["harmed"]
    capped = replace(broad, policy=CrossingPolicy(10, 2, 1))
    again = {row["kind"]: row for row in run_honest_bench(capped)}
    assert again[Kind.ONE_CLASS]["harmed"] == 60
    published = run_honest_bench(_options(small))
    assert [row["first_harm"] for row in again.values()] == [r["first_harm"] for r in published]


def test_profiles_that_keep_labels_harm_nobody(small: SmallBundle) -> None:
    """Right answers are the protectee's own, however many were asked."""
    options = replace(_options(small), profile=Profile.SAFE)
    for row in run_honest_bench(options):
        assert row["harmed"] == 0
        assert row["first_harm"] == [None, None, None]
        assert row["right"][-1][1] == pytest.approx(row["right_undefended"], abs=0.05)


def test_accounts_of_true_classes_are_predicted_wrong_at_times(
    small: SmallBundle, tmp_path: Path
) -> None:
    """With labels in the file, the protectee's mistakes count as mistakes."""
    labels = np.where(np.arange(1200) % 10 == 0, 0, small.labels[1200:])
    np.savez(tmp_path / "labeled.npz", x=small.inputs[1200:], y=labels)
    options = replace(_options(small), data=(tmp_path / "labeled.npz",), profile=Profile.SAFE)
    even = run_honest_bench(options)[0]
    assert even["right_undefended"] < 0.97


def test_an_impossible_cap_is_refused(small: SmallBundle) -> None:
    """As the service refuses it."""
    options = replace(_options(small), policy=CrossingPolicy(10, 2, 10**6))
    with pytest.raises(ConfigError, match="expected a class cap of 1 to"):
        run_honest_bench(options)

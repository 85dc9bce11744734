"""The protectee that remembers its outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queen_inference.protectee import Outputs, Protectee

from queen.bundle import open_bundle
from queen.redteam.datasets import Images
from queen.redteam.targets.protectee import CachedProtectee, open_protectee
from tests.bundles import SmallBundle, make_bundle


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with four classes."""
    return make_bundle(Path(tmp_path_factory.mktemp("protectee")) / "bundle")


class CountingProtectee(Protectee):
    """A protectee that counts the rows it runs."""

    rows_run = 0

    def run(self, rows: Images) -> Outputs:
        """Outputs of rows (B, ...)."""
        self.rows_run += len(rows)
        return super().run(rows)


def count(small: SmallBundle, kept_rows: int) -> tuple[CachedProtectee, CountingProtectee]:
    """A remembering protectee over one that counts, which begins at 0."""
    counting = CountingProtectee(open_bundle(small.path), threads=1, max_batch_rows=64)
    counting.rows_run = 0
    return CachedProtectee(counting, 4, kept_rows), counting


def test_outputs_are_those_of_the_protectee_to_the_bit(small: SmallBundle) -> None:
    """Remembered or fresh, all four arrays are the same."""
    bundle = open_bundle(small.path)
    expected = Protectee(bundle, threads=1, max_batch_rows=256).run(small.inputs[:20])
    cached = open_protectee(bundle)
    assert cached.num_classes == 4
    cached.run(small.inputs[5:9])
    for got, want in zip(cached.run(small.inputs[:20]).arrays(), expected.arrays(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_an_image_is_run_once(small: SmallBundle) -> None:
    """In one batch or in several, in any order."""
    cached, counting = count(small, kept_rows=100)
    rows = small.inputs[[0, 1, 0]]
    cached.run(rows)
    cached.run(rows[::-1])
    assert counting.rows_run == 2


def test_a_full_memory_is_forgotten_and_answers_all_the_same(small: SmallBundle) -> None:
    """A batch that does not fit beside the rest clears it."""
    cached, counting = count(small, kept_rows=3)
    first = cached.run(small.inputs[:2]).logits
    cached.run(small.inputs[2:4])
    np.testing.assert_array_equal(cached.run(small.inputs[:2]).logits, first)
    assert counting.rows_run == 6

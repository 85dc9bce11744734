"""The copies of the demo's thief."""

from __future__ import annotations

from pathlib import Path

from queen.demo.copies import count_copies, train_copies
from tests.unit.demo.sample_demo import THIEF_QUERIES, sent_by, small_demo


def test_every_copy_is_counted_and_told(tmp_path: Path) -> None:
    """Four copies and two for each milestone below the number of queries, in the curve as well."""
    demo, told = small_demo(tmp_path), []
    copies = train_copies(demo, sent_by(demo), lambda: told.append(1))
    assert len(told) == count_copies(demo) == 6
    assert copies.curve.queries == [30, THIEF_QUERIES]
    assert copies.curve.undefended[-1] == copies.undefended
    assert copies.curve.defended == [copies.clean_prefix, copies.defended]
    # The answers are sure of their labels, so labels are all there is.
    assert copies.label_only == copies.undefended
    assert copies.undefended > copies.defended

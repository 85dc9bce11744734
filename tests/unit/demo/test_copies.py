"""The copies of the demo's thieves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from queen.demo.accounts import Sent
from queen.demo.copies import count_copies, train_copies
from tests.unit.demo.sample_demo import sent_by, small_demo


def test_every_copy_is_counted_and_told(tmp_path: Path) -> None:
    """Three copies of a thief; wrong answers make the defended one the worst."""
    demo, told = small_demo(tmp_path), []
    copies = train_copies(demo, sent_by(demo), lambda: told.append(1))["thief-in-distribution"]
    assert len(told) == count_copies(demo) == 3
    assert copies.undefended > copies.defended
    assert copies.floor > copies.defended


def test_refused_queries_teach_nothing(tmp_path: Path) -> None:
    """A copy of answers of which the rest is refused is the copy of the clean answers."""
    demo = small_demo(tmp_path)
    sent = sent_by(demo)
    traffic = sent.defended["thief-in-distribution"]
    traffic.answers[30:] = np.nan
    copies = train_copies(demo, Sent(sent.defended, sent.own), lambda: None)
    assert copies["thief-in-distribution"].defended == copies["thief-in-distribution"].floor

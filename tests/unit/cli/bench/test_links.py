"""`queen bench links` on a small bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from queen.cli.bench.links import links
from tests.bundles import make_bundle


def test_links_shows_a_row_for_each_split(tmp_path: Path) -> None:
    """Three ways to split a thief's queries, each with its area under the curve."""
    small = make_bundle(tmp_path / "bundle", samples=800)
    np.savez(tmp_path / "pool.npz", x=small.inputs)
    words = ["--bundle", str(small.path), "--data", str(tmp_path / "pool.npz")]
    words += ["--accounts", "3", "--queries", "40"]
    done = CliRunner().invoke(links, words, catch_exceptions=False)
    assert done.exit_code == 0
    for split in ("disjoint parts", "a tenth in common", "noisy copies"):
        assert split in done.output

"""The bundle of the benches over accounts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bundles import SmallBundle, make_bundle


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with its samples as train.npz and test.npz beside it."""
    folder = Path(tmp_path_factory.mktemp("bench"))
    bundle = make_bundle(folder / "bundle", samples=2400)
    np.savez(folder / "train.npz", x=bundle.inputs[:1200])
    np.savez(folder / "test.npz", x=bundle.inputs[1200:])
    return bundle

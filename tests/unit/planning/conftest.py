"""The bundle whose logs are planned with."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.bundle import Bundle, open_bundle
from tests.bundles import make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of four classes, with room for about 150 records of each."""
    path = Path(tmp_path_factory.mktemp("planning")) / "bundle"
    make_bundle(path, coverage_fraction=0.1)
    return open_bundle(path)

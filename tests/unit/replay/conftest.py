"""The bundle whose logs are replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.bundle import Bundle, open_bundle
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle in which a handful of records spend a budget."""
    path = Path(tmp_path_factory.mktemp("replay")) / "bundle"
    make_bundle(path, coverage_fraction=0.1)
    return open_bundle(path)

"""A small protectee and accounts, for the tests of the inference service."""

from __future__ import annotations

from pathlib import Path

import pytest
from queen_inference.metrics import Measures
from queen_inference.protectee import Protectee

from queen.bundle import open_bundle
from queen.serving.auth import Account
from queen.serving.metrics import Metrics
from tests.bundles import SmallBundle, Widths, make_bundle


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle."""
    return make_bundle(Path(tmp_path_factory.mktemp("bundle")) / "b", widths=Widths(features=33))


@pytest.fixture(scope="session")
def protectee(small: SmallBundle) -> Protectee:
    """Its protectee, warm."""
    return Protectee(open_bundle(small.path), threads=1, max_batch_rows=16)


@pytest.fixture
def measures() -> Measures:
    """Fresh counters."""
    return Measures(Metrics())


@pytest.fixture
def account() -> Account:
    """An account without a policy of its own."""
    return Account("alice", None, None, "hash-of-alice")

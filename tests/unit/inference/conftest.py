"""A small protectee and accounts, for the tests of the inference service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from queen_inference.answers.allowance import Allowance
from queen_inference.answers.last_verdicts import LastVerdicts
from queen_inference.answers.unassessed import Unassessed
from queen_inference.metrics import InferenceMetrics
from queen_inference.protectee import Protectee

from queen.bundle import Bundle, open_bundle
from queen.method.contracts import Profile
from queen.serving.auth import Account
from queen.serving.metrics import Metrics
from tests.bundles import SmallBundle, Widths, make_bundle

Counted = Callable[..., float]


def granting(rows: int = 4) -> Unassessed:
    """Grants every owner so many rows without a verdict, and so many flagged ones."""
    return Unassessed(LastVerdicts(), *(Allowance(rows, lambda: 0.0) for _ in range(2)))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle, with the inputs that it was made from."""
    return make_bundle(Path(tmp_path_factory.mktemp("bundle")) / "b", widths=Widths(features=33))


@pytest.fixture(scope="session")
def bundle(small: SmallBundle) -> Bundle:
    """The same bundle, opened."""
    return open_bundle(small.path)


@pytest.fixture(scope="session")
def protectee(bundle: Bundle) -> Protectee:
    """The protectee of the bundle, warm."""
    return Protectee(bundle, threads=1, max_batch_rows=16)


@pytest.fixture
def registry() -> Metrics:
    """Fresh metrics, as a service's process has them."""
    return Metrics()


@pytest.fixture
def metrics(registry: Metrics) -> InferenceMetrics:
    """Fresh counters."""
    return InferenceMetrics(registry)


@pytest.fixture
def counted(registry: Metrics) -> Counted:
    """Reads a sample by its name and labels; 0 for one that is not there."""

    def read(name: str, **labels: str) -> float:
        return registry.registry.get_sample_value(name, labels) or 0.0

    return read


@pytest.fixture
def account() -> Account:
    """An account without a policy of its own."""
    return Account("alice", Profile.PAPER, "hash-of-alice")

"""The bundle that the tests serve, and a service that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bundles import SmallBundle
from tests.integration.sensitivity.calls import Service, small_bundle, small_service


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """The bundle that all tests of the folder serve."""
    return small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def service(small: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A process for all tests of this module."""
    with small_service(small, tmp_path_factory.mktemp("state")) as running:
        yield running

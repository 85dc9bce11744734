"""An authority for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.certificates import Authority, make_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority."""
    return make_authority(tmp_path_factory.mktemp("keys") / "authority")


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return make_authority(tmp_path_factory.mktemp("keys") / "foreign")

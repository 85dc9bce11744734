"""A bundle and a plan for the tests of `queen up`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from queen.bundle import Bundle, open_bundle
from queen.cli.state import StateFolder
from queen.cli.up.plan import Plan
from tests.bundles import make_bundle

ASKED: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "metrics_port": 0,
    "budget": 20,
    "breadth": 2,
    "class_cap": 3,
    "profile": "paper",
    "failure_mode": "protect",
    "allow_clean_answers": False,
    "device": "cpu",
    "replicas": 1,
}
"""Options of `queen up` besides bundle, accounts and state."""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small bundle."""
    return open_bundle(make_bundle(tmp_path_factory.mktemp("up") / "bundle").path)


@pytest.fixture
def plan(bundle: Bundle, tmp_path: Path) -> Plan:
    """A plan with a state folder of its own."""
    state = StateFolder(tmp_path / "state")
    state.prepare()
    return Plan(bundle=bundle, state=state, accounts=state.accounts, **ASKED)

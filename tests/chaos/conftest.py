"""The setting of the scenarios, and the report at their end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.checks.report import say, table, write
from tests.chaos.scenario import Opened, opened
from tests.chaos.setting import Setting, open_setting

REPORT = Path("build/chaos/report.json")


@pytest.fixture(scope="session")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """A bundle, a perturber and proxies; QUEEN_CHAOS_SEED decides what is drawn."""
    seed = int(os.environ.get("QUEEN_CHAOS_SEED", "1"))
    with open_setting(tmp_path_factory.mktemp("chaos"), seed) as shared:
        yield shared
    write(REPORT, shared.tallies)
    say(f"seed {seed}, written to {REPORT}\n{table(shared.tallies)}")


@pytest.fixture(scope="module")
def running(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A stage that the scenarios of a module share: each begins where the last one ended."""
    with opened(setting, tmp_path_factory.mktemp("stage")) as stage:
        yield stage

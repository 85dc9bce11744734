"""Two scenarios of `make chaos`, short: what it stands on works."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.proxy import HALF_OPEN
from tests.chaos.scenario import opened, scenario
from tests.chaos.setting import open_setting

pytestmark = pytest.mark.slow


def test_a_killed_replica_and_a_half_open_redis_cost_no_record(tmp_path: Path) -> None:
    """Under load, every answer in time, protect answers meanwhile, and the ledgers whole."""
    with open_setting(tmp_path, seed=1) as setting, opened(setting, tmp_path) as running:
        with scenario("smoke: kill a replica", running) as run:
            replica = run.stage.replicas[0]
            with run.liveness.excusing(replica):
                run.stage.kill(replica)
                replica.start()
            killed = run.finish()
        with scenario("smoke: half open, replica to Redis", running) as run:
            run.stage.break_links("store", HALF_OPEN)
            time.sleep(2)
            cut = run.finish()
    assert killed.acknowledged > 0
    assert killed.liveness_polls > 0
    assert cut.protect > 0

"""A store that loses acknowledged records: failovers to a replica that lags, old backups."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.chaos.failovers import cut_off, promote_replicas, replicated_cluster, replicated_pair
from tests.chaos.scenario import Scenario, opened, opened_over, scenario
from tests.chaos.setting import Setting

AOF = "appendonlydir"
LOADS = {"quiet": True, "under load": False}
"""Whether no request comes while the store changes; else the outage makes batches fail."""
_LAG_SECONDS = 2.0


def quiet_down(run: Scenario) -> None:
    """Stop the load; every replica knows every ledger."""
    run.pause()
    run.synchronize()


@pytest.mark.parametrize("load", LOADS)
def test_a_failover_to_a_replica_that_lags(setting: Setting, tmp_path: Path, load: str) -> None:
    """Records that only the old primary had come back from the replicas' memory, counted."""
    with (
        replicated_pair(tmp_path, setting.loop) as pair,
        opened_over(setting, tmp_path, [pair.primary]) as running,
        scenario(f"failover to a lagging replica, {load}", running) as run,
    ):
        pair.lag()
        time.sleep(_LAG_SECONDS)
        if LOADS[load]:
            quiet_down(run)
        pair.primary.kill()
        time.sleep(0 if LOADS[load] else 1)
        pair.promote()
        set_back = run.missing_from([pair.replica])
        for link in run.stage.store_links:
            link.point_at(pair.replica.port)
        if LOADS[load]:
            run.begin()
        tally = run.finish(set_back=set_back)
    assert set_back > 0
    assert tally.regressed > 0


@pytest.mark.parametrize("load", LOADS)
def test_an_old_append_only_file_is_restored(setting: Setting, tmp_path: Path, load: str) -> None:
    """A backup of seconds ago is put back under running replicas; they give it the rest."""
    with (
        opened(setting, tmp_path) as running,
        scenario(f"restore an old AOF, {load}", running) as run,
    ):
        files, backup = run.server.folder / AOF, tmp_path / "backup"
        shutil.copytree(files, backup)
        time.sleep(_LAG_SECONDS)
        if LOADS[load]:
            quiet_down(run)
        run.server.stop()
        shutil.rmtree(files)
        shutil.copytree(backup, files)
        run.server.restart()
        set_back = run.missing_from([run.server])
        if LOADS[load]:
            run.begin()
        tally = run.finish(set_back=set_back)
    assert set_back > 0
    assert tally.regressed > 0


def test_a_cluster_whose_lagging_replicas_take_over(setting: Setting, tmp_path: Path) -> None:
    """Three primaries go at once; their slots are served by replicas that miss records."""
    with (
        replicated_cluster(tmp_path) as (primaries, replicas),
        opened_over(setting, tmp_path, primaries) as running,
        scenario("cluster, lagging replicas take over", running) as run,
    ):
        for primary, replica in zip(primaries, replicas, strict=True):
            cut_off(primary, replica)
        time.sleep(_LAG_SECONDS)
        quiet_down(run)
        promote_replicas(primaries, replicas)
        set_back = run.missing_from(replicas)
        run.begin()
        tally = run.finish(set_back=set_back)
    assert set_back > 0
    assert tally.regressed > 0

"""The bench of the ledgers measures what it says, on a small scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bench.state.appends import measure_redis
from queen.bench.state.bench import StateOptions, count_steps, run_state_bench
from queen.bench.state.goals import GOALS, Goal
from queen.bench.state.ledger_load import Crowd, Site
from queen.bench.state.search import count_cells
from queen.bench.state.timing import worse
from queen.errors import ConfigError
from queen.method.ledger import Verdict
from tests.redis_servers import redis_server


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What a short run finds, with as many steps as it announced."""
    options = StateOptions(accounts=6000, crowd=80, rounds=10, cached_accounts=1000)
    steps: list[None] = []
    result = run_state_bench(options, lambda: steps.append(None))
    assert len(steps) == count_steps(options)
    return result


def test_every_measure_is_there(found: dict[str, Any]) -> None:
    """Each goal has its figure at the top level, and each engine its cell."""
    # Memory that the process has to spare costs so few accounts no resident byte.
    assert all(found[goal.key] > 0 for goal in GOALS if not goal.key.startswith("bytes_"))
    assert found["accounts_known"] == 6000
    assert found["accounts_cached"] == 1000
    assert len(found["search"]) == 4 * count_cells()
    assert {"cells", "flat"} <= found["search"][0].keys()
    assert {"bytes_per_empty_account", "bytes_per_account"} <= found.keys()


def test_queries_get_the_verdicts_that_they_are_made_for() -> None:
    """Covered and outside rows record nothing, and each row on an empty point is recorded."""
    crowd = Crowd(Site(), 50, classes=3, records=40)
    store = MemoryLedgerStore()
    crowd.fill(store)
    book = crowd.site.book(store, budget=2000, cached_accounts=100)
    rng = np.random.default_rng(0)
    assert (book.assess(crowd.batch(rng, 500)).verdicts == Verdict.PRESERVE).all()
    assert (book.assess(crowd.outside(rng, range(50))).verdicts == Verdict.PRESERVE).all()
    novel = crowd.at(range(50), np.zeros(50, int), np.full(50, 40))
    assert (book.assess(novel).verdicts == Verdict.RECORD).all()
    recorded = book.assess(crowd.batch(rng, 50, novel=1.0)).verdicts == Verdict.RECORD
    assert recorded.sum() > 40


def test_a_redis_that_is_there_is_used_and_left_as_it_was(tmp_path: Path) -> None:
    """Accounts of the bench are erased; others are not touched."""
    with redis_server(tmp_path / "redis") as server:
        with server.client() as client:
            client.set("mine", 1)
        measured = measure_redis(server.url, tmp_path, 10)
        assert measured["append_over_bare_lua"] > 0
        with server.client() as client:
            kept = [key for key in client.scan_iter() if client.type(key) in (b"list", b"set")]
            assert client.get("mine") == b"1"
            assert kept == []


def test_without_a_redis_the_bench_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the program and the flag."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"expected redis-server on the PATH.*--redis"):
        measure_redis(None, tmp_path, 10)


def test_goals_say_whether_they_are_met() -> None:
    """Bounds are part of what they bound, and a measure without a goal has no verdict."""
    ratio = Goal("key", "title", 0.8, 1.2)
    assert ratio.verdict(1.2) == ">= 0.8, <= 1.2 met"
    assert ratio.verdict(0.79) == ">= 0.8, <= 1.2 MISSED"
    assert Goal("key", "title", least=100_000).verdict(99_999) == ">= 100,000 MISSED"
    assert Goal("key", "title").verdict(5.0) == ""
    assert worse([1.1, 0.5]) == 0.5

"""The rows that run next, and their requests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from queen_inference.metrics import InferenceMetrics
from queen_inference.packing import ALONE_RUNS, SHARED_ROWS, Packer
from queen_inference.waiting import REQUEST_ROWS, WaitingRequests

from queen.method.contracts import Profile
from tests.unit.inference.batches import account_of, pending_of

Ask = Callable[..., None]
MOST = 1024


def no_time(_rows: int) -> float:
    """A protectee that needs none."""
    return 0.0


@pytest.fixture
def waiting(metrics: InferenceMetrics) -> WaitingRequests:
    """Room for whatever a test asks."""
    return WaitingRequests(10**9, 10**9, metrics)


@pytest.fixture
def ask(waiting: WaitingRequests) -> Ask:
    """Lets a request of an account wait."""

    def append(name: str, rows: int, width: int = 2) -> None:
        account = account_of(Profile.PAPER, name)
        waiting.append(pending_of(account, np.zeros((rows, width), np.float32)))

    return append


def rows_of(packer: Packer, waiting: WaitingRequests) -> dict[str, int]:
    """Rows of each account in the next run."""
    rows: dict[str, int] = {}
    for pending, part in packer.next_run(waiting, 0.0).items():
        name = pending.account.account_id
        rows[name] = rows.get(name, 0) + part.stop - part.start
    return rows


async def test_an_account_alone_gets_full_runs(waiting: WaitingRequests, ask: Ask) -> None:
    """Nobody else asks, so nothing is held back, and a request is not cut to fill a run."""
    packer = Packer(no_time, MOST)
    for rows in (500, 500, 500):
        ask("alice", rows)
    assert [rows_of(packer, waiting) for _ in range(3)] == [{"alice": 1000}, {"alice": 500}, {}]


@pytest.mark.parametrize("hostile", [1, 2, 3])
async def test_a_run_is_shared_by_all_who_wait(
    waiting: WaitingRequests, ask: Ask, hostile: int
) -> None:
    """A small request is in the first run after it came, whatever the others have sent."""
    packer = Packer(no_time, MOST)
    for index in range(hostile):
        ask(f"hostile-{index}", 1024)
        ask(f"hostile-{index}", 1024)
    ask("victim", 1)
    rows = rows_of(packer, waiting)
    assert rows.pop("victim") == 1
    assert sum(rows.values()) == SHARED_ROWS - 1
    assert min(rows.values()) >= SHARED_ROWS // (hostile + 1)


@pytest.mark.parametrize("hostile", [1, 2, 3])
async def test_who_asks_less_than_a_share_never_waits_for_a_second_run(
    waiting: WaitingRequests, ask: Ask, hostile: int
) -> None:
    """Its rows run in the run after they came, for as long as the others flood."""
    packer = Packer(no_time, MOST)
    share = SHARED_ROWS // (hostile + 1) - REQUEST_ROWS
    for _ in range(100):
        for index in range(hostile):
            ask(f"hostile-{index}", 1024)
        ask("victim", share)
        assert rows_of(packer, waiting)["victim"] == share


async def test_equal_floods_get_equal_rows(waiting: WaitingRequests, ask: Ask) -> None:
    """By large requests or by small ones: the small ones get less, since each is work."""
    packer = Packer(no_time, MOST)
    for _ in range(20):
        ask("large", 1024)
        ask("middle", 1024)
    for _ in range(2000):
        ask("small", 4)
    totals = {"large": 0, "middle": 0, "small": 0}
    for _ in range(30):
        for name, rows in rows_of(packer, waiting).items():
            totals[name] += rows
    assert abs(totals["large"] - totals["middle"]) <= SHARED_ROWS
    assert 0 < totals["small"] < totals["large"]


async def test_runs_stay_short_until_an_account_has_been_alone_for_a_while(
    waiting: WaitingRequests, ask: Ask
) -> None:
    """Whoever asked a moment ago may ask again, and must not meet a long run."""
    packer = Packer(no_time, MOST)
    ask("victim", 1)
    ask("hostile", 1024)
    rows_of(packer, waiting)
    sizes = []
    for _ in range(ALONE_RUNS + 8):
        ask("hostile", 1024)
        sizes.append(rows_of(packer, waiting)["hostile"])
    assert set(sizes[:ALONE_RUNS]) == {SHARED_ROWS}
    assert sizes[-1] > SHARED_ROWS


async def test_slow_rows_make_runs_short(waiting: WaitingRequests, ask: Ask) -> None:
    """A request of many slow rows runs in parts, so that whoever comes waits for one part."""
    packer = Packer(lambda rows: 0.001 * rows, MOST)
    ask("hostile", 256)
    assert rows_of(packer, waiting) == {"hostile": 64}
    ask("victim", 1)
    assert rows_of(packer, waiting) == {"hostile": 15, "victim": 1}


async def test_parts_of_a_request_are_its_rows_in_order(waiting: WaitingRequests, ask: Ask) -> None:
    """Every row runs once."""
    packer = Packer(no_time, 16)
    ask("alice", 40)
    parts = [list(packer.next_run(waiting, 0.0).values()) for _ in range(3)]
    assert parts == [[slice(0, 16)], [slice(16, 32)], [slice(32, 40)]]
    assert not waiting


async def test_shapes_do_not_mix(waiting: WaitingRequests, ask: Ask) -> None:
    """A request of another shape begins a run of its own."""
    packer = Packer(no_time, MOST)
    ask("alice", 3)
    ask("bob", 3, 5)
    assert rows_of(packer, waiting) == {"alice": 3}
    assert rows_of(packer, waiting) == {"bob": 3}

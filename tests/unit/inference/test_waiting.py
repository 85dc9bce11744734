"""Requests that wait: how many may, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import Pending
from queen_inference.waiting import REQUEST_ROWS, WaitingRequests

from queen.errors import Overloaded
from queen.method.contracts import Profile
from queen.serving.auth import Account
from tests.unit.inference.batches import pending_of
from tests.unit.inference.conftest import Counted

Ask = Callable[..., Pending]


@pytest.fixture
def waiting(metrics: InferenceMetrics) -> WaitingRequests:
    """Room for 100 rows, 60 of them of one account."""
    return WaitingRequests(100, 60, metrics)


@pytest.fixture
def ask(waiting: WaitingRequests) -> Ask:
    """Lets a request of an account wait."""

    def append(name: str, rows: int, group: str | None = None, expires: float = np.inf) -> Pending:
        account = Account(name, Profile.PAPER, name, group)
        pending = pending_of(account, np.zeros((rows, 2), np.float32), expires)
        waiting.append(pending)
        return pending

    return append


def begun(waiting: WaitingRequests, now: float = 0.0) -> list[str]:
    """The accounts of all requests, in the order in which they begin."""
    names = []
    while (pending := waiting.first(now)) is not None:
        waiting.begin(pending, pending.rows - pending.begun)
        names.append(pending.account.account_id)
    return names


async def test_accounts_begin_in_turn(waiting: WaitingRequests, ask: Ask) -> None:
    """An account that sent one request does not wait for all of another's."""
    for _ in range(4):
        ask("hostile", 10)
    ask("victim", 1)
    assert begun(waiting) == ["hostile", "victim", "hostile", "hostile", "hostile"]


async def test_accounts_of_a_group_share_one_turn(waiting: WaitingRequests, ask: Ask) -> None:
    """More accounts in a group bring it no more rows."""
    for name in ("one", "two", "three"):
        ask(name, 4, "group")
    for _ in range(2):
        ask("victim", 4)
    assert begun(waiting) == ["one", "victim", "two", "victim", "three"]


async def test_requests_that_were_given_up_are_charged(
    waiting: WaitingRequests, ask: Ask, counted: Counted
) -> None:
    """An account that asks and leaves waits for its next turn as if its rows had run."""
    for _ in range(3):
        ask("hostile", 10).answers.cancel()
    ask("hostile", 10)
    for _ in range(4):
        ask("victim", 10)
    assert begun(waiting) == ["victim", "victim", "victim", "hostile", "victim"]
    assert counted("queen_dropped_requests_total", reason="cancelled") == 3


async def test_a_request_costs_more_than_its_rows(waiting: WaitingRequests, ask: Ask) -> None:
    """Many small requests are work, too: 34 rows in two requests weigh what two in one do not."""
    for _ in range(3):
        ask("many", 1)
    ask("few", 2 * REQUEST_ROWS)
    ask("few", 1)
    assert begun(waiting) == ["many", "few", "many", "many", "few"]


async def test_late_requests_are_refused(
    waiting: WaitingRequests, ask: Ask, counted: Counted
) -> None:
    """They are told that the deadline passed, and give their room back."""
    late = ask("alice", 5, expires=1.0)
    ask("alice", 5, expires=3.0)
    assert begun(waiting, now=2.0) == ["alice"]
    with pytest.raises(Overloaded, match="deadline"):
        await late.answers
    assert waiting.rows == 5
    assert counted("queen_dropped_requests_total", reason="expired") == 1


async def test_an_account_has_a_bound(waiting: WaitingRequests, ask: Ask) -> None:
    """Its rows hold room until they are released, not until they begin."""
    running = ask("alice", 60)
    begun(waiting)
    with pytest.raises(Overloaded, match="60 queries of one account"):
        ask("alice", 1)
    waiting.release([running])
    assert waiting.rows == 0
    assert ask("alice", 60).rows == 60


async def test_who_holds_most_gives_way(
    waiting: WaitingRequests, ask: Ask, counted: Counted
) -> None:
    """Its newest request first, and only as many as are needed."""
    oldest, newest = ask("hostile", 30), ask("hostile", 30)
    other = ask("other", 40)
    victim = ask("victim", 20)
    assert newest.answers.done()
    with pytest.raises(Overloaded, match="100 queries at once"):
        await newest.answers
    assert not any(pending.answers.done() for pending in (oldest, other, victim))
    assert waiting.rows == 90
    assert counted("queen_dropped_requests_total", reason="gave_way") == 1


async def test_nobody_gives_way_to_who_would_hold_more(waiting: WaitingRequests, ask: Ask) -> None:
    """The same bound holds for all: who holds as much as the largest is refused."""
    held = [ask("one", 40), ask("two", 50)]
    with pytest.raises(Overloaded, match="100 queries at once"):
        ask("three", 55)
    with pytest.raises(Overloaded, match="100 queries at once"):
        ask("one", 11)
    assert not any(pending.answers.done() for pending in held)


async def test_a_group_gives_way_as_one(waiting: WaitingRequests, ask: Ask) -> None:
    """Accounts of a group hold room together."""
    held = [ask(f"member-{index}", 30, "group") for index in range(3)]
    ask("victim", 25)
    assert sum(pending.answers.done() for pending in held) == 1


async def test_members_of_a_group_do_not_starve_one_another(
    waiting: WaitingRequests, ask: Ask, counted: Counted
) -> None:
    """In a queue that their group fills, the newest request of the largest member gives way."""
    first, second = ([ask(name, 10, "group") for _ in range(5)] for name in ("one", "two"))
    third = [ask("three", 10, "group") for _ in range(3)]
    lost = [pending.answers.done() for pending in (*first, *second)]
    assert sum(lost) == 3
    assert not lost[0]
    assert not lost[5]
    assert not any(pending.answers.done() for pending in third)
    assert waiting.rows == 100
    with pytest.raises(Overloaded, match="100 queries at once"):
        ask("one", 10, "group")
    assert counted("queen_dropped_requests_total", reason="gave_way") == 3


async def test_a_member_gives_way_where_no_other_owner_must(
    waiting: WaitingRequests, ask: Ask
) -> None:
    """Its group holds as much as another, which keeps its room; large requests count by rows."""
    other = [ask("other", 50)]
    small = [ask("one", 1, "group") for _ in range(10)]
    large = ask("two", 40, "group")
    ask("three", 1, "group")
    assert large.answers.done()
    assert not any(pending.answers.done() for pending in (*other, *small))


async def test_the_end_refuses_all_that_wait(waiting: WaitingRequests, ask: Ask) -> None:
    """Nobody waits for a service that has ended."""
    pending = ask("alice", 1)
    waiting.refuse_all()
    with pytest.raises(Overloaded, match="shutting down"):
        await pending.answers

"""A queue whose items are served by owner, and within an owner by member, in turn."""

from __future__ import annotations

import pytest

from queen.serving.fairness.fair_queue import FairQueue, Payer


def queue_of(*items: str) -> FairQueue[str]:
    """Items named by owner, member and number: "ax1" is the first of the member x of a."""
    queue: FairQueue[str] = FairQueue()
    for item in items:
        queue.append(Payer(item[0], item[:2]), item)
    return queue


def served(queue: FairQueue[str], work: int = 1) -> list[str]:
    """All items in the order in which they are served."""
    items = []
    while queue:
        items.append(queue.pop(work))
    return items


def test_owners_alternate_however_much_each_sent() -> None:
    """One item of the owner who sent one comes second, not last."""
    queue = queue_of("ax1", "ax2", "ax3", "ax4", "bx1")
    assert queue.owners == 2
    assert served(queue) == ["ax1", "bx1", "ax2", "ax3", "ax4"]


def test_members_of_an_owner_share_its_turns() -> None:
    """Three accounts of a group get together what an account alone gets."""
    queue = queue_of(*(f"a{member}{item}" for item in "12" for member in "xyz"), "bx1", "bx2")
    assert served(queue) == ["ax1", "bx1", "ay1", "bx2", "az1", "ax2", "ay2", "az2"]


def test_an_item_may_have_several_turns() -> None:
    """It stays first in its member's line, and others come between its turns."""
    queue = queue_of("ax1", "ax2", "bx1")
    assert queue.first() == "ax1"
    queue.serve(10)
    assert queue.first() == "bx1"
    assert queue.pop(10) == "bx1"
    assert served(queue) == ["ax1", "ax2"]


def test_large_work_waits_longer_for_the_next_turn() -> None:
    """Work is shared, not turns."""
    queue = queue_of("ax1", "ax2", "bx1", "bx2", "bx3")
    assert queue.pop(3) == "ax1"
    assert served(queue) == ["bx1", "bx2", "bx3", "ax2"]


def test_the_newest_of_an_owner_gives_way() -> None:
    """Of the member with the longest line; its other items stay in order."""
    queue = queue_of("ax1", "ax2", "ay1", "bx1")
    assert queue.pop_newest("a") == "ax2"
    assert sorted(queue.waiting_owners()) == ["a", "b"]
    assert queue.pop_newest("b") == "bx1"
    assert queue.waiting_owners() == ["a"]
    assert sorted(queue) == ["ax1", "ay1"]


def test_the_newest_of_a_member_gives_way() -> None:
    """Members are told in the order in which they came."""
    queue = queue_of("ay1", "ax1", "ay2", "bx1")
    assert [payer.member for payer in queue.waiting_payers("a")] == ["ay", "ax"]
    assert queue.pop_newest_of(Payer("a", "ax")) == "ax1"
    assert [payer.member for payer in queue.waiting_payers("a")] == ["ay"]
    assert sorted(queue) == ["ay1", "ay2", "bx1"]


def test_an_empty_queue_says_so() -> None:
    """No item is first, and none can be removed or charged."""
    queue = queue_of()
    assert not queue
    assert queue.first() is None
    with pytest.raises(IndexError, match="empty queue"):
        queue.pop(1)
    with pytest.raises(IndexError, match="empty queue"):
        queue.serve(1)

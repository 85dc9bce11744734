"""A bounded room that owners share."""

from __future__ import annotations

import pytest

from queen.serving.fairness.room import Room


@pytest.mark.parametrize("owners", [1, 2, 3, 7])
def test_some_room_is_left_for_who_comes_later(owners: int) -> None:
    """Owners who hold all they may leave as much as each of them holds."""
    room, names = Room(840), [f"owner-{index}" for index in range(owners)]
    held = dict.fromkeys(names, 0)
    for _ in range(840):
        for name in names:
            held[name] += room.admit(name, 1)
    share = 840 // (owners + 1)
    assert all(share - 1 <= amount <= share + 1 for amount in held.values())
    assert room.admit("late", share // 2)


def test_what_is_given_back_can_be_held_again() -> None:
    """By the same owner, in another amount."""
    room = Room(10)
    assert room.admit("a", 3)
    assert room.admit("a", 2)
    assert not room.admit("a", 1)
    room.release("a", 3)
    assert room.used == 2
    assert room.admit("a", 1)


def test_an_empty_room_is_never_too_small() -> None:
    """Or an item larger than the room could never be held."""
    room = Room(10)
    assert room.admit("a", 50)
    assert not room.admit("b", 1)
    room.release("a", 50)
    assert room.admit("b", 1)

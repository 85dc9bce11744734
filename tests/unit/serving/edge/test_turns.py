"""Whose call begins next, in an event loop that the test turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from queen.serving.edge import turns
from queen.serving.edge.patience import MOST, PER_SECOND
from queen.serving.edge.turns import AT_ONCE, Turns


class Stage:
    """A loop with turns and a time of the test's own; the calls that began and that gave way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.begun: list[str] = []
        self.refused: list[str] = []
        self.turns = Turns[str](self.begun.append, self.refused.append, self)
        self._soon: list[Callable[[], Any]] = []
        self._later: list[tuple[float, Callable[[], Any]]] = []

    def time(self) -> float:
        """Now."""
        return self.now

    def call_soon(self, callback: Callable[[], Any], /) -> None:
        """Keep a callback for the next turn."""
        self._soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> None:
        """Keep a callback for a time."""
        self._later.append((self.now + delay, callback))

    def send(self, share: str | None, *calls: str) -> None:
        """Calls of a share come."""
        for call in calls:
            self.turns.append(share, call)

    def turn(self) -> list[str]:
        """The calls that begin in a turn of the loop."""
        before = len(self.begun)
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        return self.begun[before:]

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due be called."""
        self.now += seconds
        due = [callback for at, callback in self._later if at <= self.now]
        self._later = [(at, callback) for at, callback in self._later if at > self.now]
        for callback in due:
            callback()

    @property
    def is_idle(self) -> bool:
        """Whether the loop would sleep."""
        return not self._soon


@pytest.fixture
def stage() -> Stage:
    """Turns in which nothing has come."""
    return Stage()


def numbered(letter: str, count: int) -> list[str]:
    """Names of calls, by the letter of their share."""
    return [f"{letter}{number}" for number in range(count)]


def give_up(stage: Stage, share: str) -> None:
    """Have a share give up as many calls as it may."""
    for _ in range(round(MOST)):
        stage.send(share, "x")
        stage.turn()
        stage.turns.end(share, "given_up")
    stage.begun.clear()


def test_a_call_begins_at_once_while_few_come(stage: Stage) -> None:
    """In a turn of the loop only some begin, and once all have begun the loop sleeps."""
    stage.send("alice", *numbered("a", 2 * AT_ONCE + 1))
    assert stage.begun == numbered("a", AT_ONCE)
    assert len(stage.turns) == AT_ONCE + 1
    assert (len(stage.turn()), len(stage.turn()), stage.turn()) == (AT_ONCE, 1, [])
    assert stage.begun == numbered("a", 2 * AT_ONCE + 1)
    assert stage.is_idle


def test_a_share_waits_for_no_more_than_a_call_of_another(stage: Stage) -> None:
    """However many calls of the other came before."""
    stage.send("mallory", *numbered("m", 500))
    stage.send("alice", "a0", "a1")
    while "a1" not in stage.begun:
        stage.turn()
    assert len(stage.begun) <= AT_ONCE + 4


def test_a_share_that_gives_up_its_calls_waits(stage: Stage) -> None:
    """A call begins when the share may give up one more; others begin at once."""
    give_up(stage, "mallory")
    stage.send("mallory", *numbered("m", 5))
    stage.send("alice", "a0")
    assert stage.turn() == []
    assert stage.begun == ["a0"]
    stage.turn()
    assert stage.is_idle
    stage.wait(1.5 / PER_SECOND)
    assert len(stage.turn()) == 1


def test_calls_that_wait_already_are_held_too(stage: Stage) -> None:
    """They came before their share had given up as many as it may."""
    stage.send("mallory", *numbered("m", 2 * round(MOST)))
    while not stage.is_idle:
        before = len(stage.begun)
        stage.turn()
        for _ in stage.begun[before:]:
            stage.turns.end("mallory", "given_up")
    assert len(stage.begun) <= MOST + 2 * AT_ONCE


def test_held_calls_begin_newest_first(stage: Stage) -> None:
    """Whoever sent the older ones has left by now; each answer lets one more begin at once."""
    give_up(stage, "mallory")
    stage.send("mallory", "oldest", "old", "new")
    stage.wait(1.5 / PER_SECOND)
    assert stage.turn() == ["new"]
    stage.turns.end("mallory", "answered")
    assert stage.turn() == ["old"]
    stage.turns.end("mallory", "given_up")
    stage.turns.end("mallory", "given_up")
    assert stage.turn() == []
    stage.wait(1.5 / PER_SECOND)
    assert stage.turn() == ["oldest"]
    stage.wait(1.5 / PER_SECOND)
    stage.turns.end("mallory", "answered")
    stage.send("mallory", "next")
    assert stage.begun[-1] == "next" or stage.turn() == ["next"]
    assert len(stage.turns) == 0


def test_trusted_callers_are_never_held(stage: Stage) -> None:
    """A front door gives up many calls when a service is slow."""
    for _ in range(2 * round(MOST)):
        stage.send(None, "t")
        stage.turn()
        stage.turns.end(None, "given_up")
    assert len(stage.begun) == 2 * MOST


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most four calls wait."""
    monkeypatch.setattr(turns, "MOST_WAITING", 4)


@pytest.mark.usefixtures("few")
def test_in_a_full_line_the_largest_share_gives_way(stage: Stage) -> None:
    """Its newest call, however little the share has that comes last."""
    stage.send("bob", *numbered("b", AT_ONCE))
    stage.send("mallory", *numbered("m", 4))
    stage.send("alice", "a0")
    assert stage.refused == ["m3"]
    while not stage.is_idle:
        stage.turn()
    assert stage.begun[AT_ONCE:] == ["m0", "a0", "m1", "m2"]
    assert len(stage.turns) == 0


@pytest.mark.usefixtures("few")
def test_of_held_calls_the_oldest_gives_way(stage: Stage) -> None:
    """The likeliest to have no caller any more."""
    give_up(stage, "mallory")
    stage.send("mallory", *numbered("m", 5))
    assert stage.refused == ["m0"]
    assert len(stage.turns) == 4

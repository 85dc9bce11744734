"""Whose turn it is, among names that wait."""

from __future__ import annotations

import pytest

from queen.serving.fairness.rota import Rota


def turns(rota: Rota, count: int, work: dict[str, int]) -> str:
    """The names of some turns, each charged with its name's work."""
    names = ""
    for _ in range(count):
        name = rota.first()
        assert name is not None
        names += name
        rota.charge(name, work[name])
    return names


@pytest.fixture
def rota() -> Rota:
    """Three names that wait."""
    rota = Rota()
    for name in "abc":
        rota.join(name)
    return rota


def test_equal_work_goes_round(rota: Rota) -> None:
    """In the order in which the names came."""
    assert turns(rota, 6, dict.fromkeys("abc", 5)) == "abcabc"


def test_turns_are_as_many_as_the_work_allows(rota: Rota) -> None:
    """A name whose turns cost four times as much gets a quarter of them: work is shared evenly."""
    names = turns(rota, 90, {"a": 4, "b": 1, "c": 1})
    assert [names.count(name) for name in "abc"] == [10, 40, 40]


def test_idle_time_earns_nothing(rota: Rota) -> None:
    """A name that comes late gets its share from then on, and nothing for the time before."""
    turns(rota, 300, dict.fromkeys("abc", 1))
    rota.join("d")
    assert turns(rota, 8, dict.fromkeys("abcd", 1)).count("d") == 2


def test_leaving_pays_no_debt(rota: Rota) -> None:
    """A name that owes work and comes again waits as long as if it had stayed."""
    rota.charge("a", 10)
    rota.leave("a")
    rota.join("a")
    assert turns(rota, 20, dict.fromkeys("abc", 1)) == "bc" * 10
    assert "a" in turns(rota, 3, dict.fromkeys("abc", 1))


def test_all_is_forgotten_once_none_waits(rota: Rota) -> None:
    """Marks are kept for nobody who could meet them."""
    rota.charge("a", 10)
    for name in "abc":
        rota.leave(name)
    assert len(rota) == 0
    assert rota.first() is None
    rota.join("a")
    rota.join("b")
    assert turns(rota, 4, dict.fromkeys("ab", 1)) == "abab"


def test_a_name_joins_once(rota: Rota) -> None:
    """Joining again changes no turn."""
    rota.join("a")
    assert len(rota) == 3
    assert turns(rota, 6, dict.fromkeys("abc", 1)) == "abcabc"


def test_many_names_that_come_and_go_share_alike() -> None:
    """However many names were served and have left, one that stays gets every other turn."""
    rota = Rota()
    rota.join("stays")
    served = 0
    for index in range(1000):
        rota.join(f"{index}")
        for _ in range(2):
            name = rota.first()
            assert name is not None
            served += name == "stays"
            rota.charge(name, 1)
        rota.leave(f"{index}")
    assert served == 1000

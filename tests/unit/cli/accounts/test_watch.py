from functools import partial

import pytest

from queen.cli.accounts.admin_client import ANONYMOUS
from queen.cli.accounts.admin_values import Crossing, Missed
from queen.cli.accounts.watch import Lost, Watched, event_line, follow_port, watch_all
from queen.cli.refusal import Refusal
from tests.unit.cli.accounts.admin_port import run

NANOS = 10**18


def test_a_crossing_is_a_line_that_no_account_id_can_break():
    """Time, account, class and level; an id's control characters are spelled out."""
    line = event_line(Crossing(NANOS, "group a\x1b[2Jb", "threshold", 3, 1.25, 1.0))
    assert line == "2001-09-09T01:46:40+00:00 'group a\\x1b[2Jb' class 3: cqs 1.25 over T 1"
    meter = event_line(Crossing(NANOS, "a", "off distribution", 0, 1.25, 1.0))
    assert meter.endswith("is off-distribution: 1.25 of 1")


def test_an_owner_over_its_budget_is_told_from_a_crossed_class():
    """By its breadth, or by one class at its cap."""
    breadth = event_line(Crossing(NANOS, "a", "breadth", 0, 5.0, 5.0))
    assert breadth.endswith("'a' is over its budget: 5 of 5 classes")
    cap = event_line(Crossing(NANOS, "a", "class cap", 3, 3.25, 3.0))
    assert cap.endswith("'a' is over its budget, class 3: cqs 3.25 over its cap 3")


def test_missed_events_are_said_to_be_missed():
    """A number alone, since the service does not keep them."""
    assert event_line(Missed(7)).startswith("7 events were missed")


def test_the_events_of_an_admin_port_come_after_its_beginning(port):
    """Its end ends the watch, since no other replica is heard."""
    news = watch_all({"sensitivity": port.address}, partial(follow_port, ANONYMOUS))
    assert next(news) == Watched("sensitivity")
    assert next(news) == Crossing(0, "acme", "threshold", 0, 1.5, 1.0)
    assert next(news) == Missed(7)
    with pytest.raises(Refusal, match="the service ended the watch"):
        next(news)


def test_a_replica_that_is_away_is_told_once_while_another_is_heard():
    """When it is back that is told, and its next absence again."""
    script = {
        "a": [Lost("a", "away"), Lost("a", "still away"), Watched("a"), Lost("a", "away again")],
        "b": [Watched("b")],
    }

    def follow(name, _address, news):
        for latest in script[name]:
            news.put(latest)

    stream = watch_all({"a": "", "b": ""}, follow)
    heard = [next(stream) for _ in range(4)]
    assert [news for news in heard if news.name == "a"] == [
        Lost("a", "away"),
        Watched("a"),
        Lost("a", "away again"),
    ]


def test_the_command_prints_events_and_the_problem_that_ends_it(port):
    """Events go to stdout, replicas that come and go to stderr."""
    ran = run(port, "watch")
    assert ran.exit_code == 1
    assert "'acme' class 0: cqs 1.5 over T 1" in ran.stdout
    assert "7 events were missed" in ran.stdout
    assert ran.stderr.startswith("sensitivity is watched")

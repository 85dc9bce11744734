"""Every field of a record is checked before it is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queen.bundle import Bundle
from queen.errors import DecisionLogInvalid
from queen.replay import replay
from tests.unit.replay.logs import crossing, entries, write


def broken(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A record with another value in a field."""
    return lambda record: record.__setitem__(name, value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda record: record.pop("cqs_before"), "expected a field 'cqs_before', got none"),
        (lambda record: record.pop("novel"), "expected a field 'novel', got none"),
        (broken("d", [0.1] * 4), "expected a list of 5 in 'd', got a list of 4"),
        (broken("d", [0.1, "x", 0, 0, 0]), "expected finite numbers in 'd', got \"x\""),
        (broken("sqs", [float("nan")] * 5), "expected finite numbers in 'sqs', got NaN"),
        (broken("cqs_after", [10**400] * 5), "expected finite numbers in 'cqs_after'"),
        (broken("class", [0, 1, 2, 3, 4]), "expected whole numbers from 0 to 3 in 'class', got 4"),
        (broken("novel", [True] * 5), "expected whole numbers from 0 to 1 in 'novel', got true"),
        (broken("verdict", ["SPARE"] * 5), "among PRESERVE, RECORD, REVERSE in 'verdict', got"),
        (broken("cause", [["ACCOUNT"]] * 5), "in 'cause', got a list of 1"),
        (broken("rows", 0), "expected a whole number from 1 on in 'rows', got 0"),
        (broken("budget", "100"), "expected a whole number from 1 on in 'budget', got \"100\""),
        (broken("budget", 10**9), "expected a budget of at most"),
        (broken("scope", "all"), "expected one of query, class, account, repeated in"),
        (broken("msg", "decided"), "'unassessed' or 'left_out' in msg, got \"decided\""),
        (broken("msg", []), "expected 'decision', 'unassessed' or 'left_out' in msg, got a list"),
        (broken("ts", {}), "expected text in 'ts', got an object"),
        (broken("bundle", "\x1b[2J"), "got \\x1b[2J (name that bundle"),
        (broken("bundle", "0" * 64), "got 000000000000... (name that bundle, or skip"),
    ],
)
def test_a_bad_line_is_refused_in_words(
    bundle: Bundle, tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], words: str
) -> None:
    """File and line are named, with what was expected and got."""
    records = entries(crossing(bundle))
    spoil(records[6])
    path = write(tmp_path / "log", records)
    with pytest.raises(DecisionLogInvalid) as refused:
        replay([path], bundle)
    assert str(refused.value).startswith(f"{path}:7: ")
    assert words in str(refused.value)

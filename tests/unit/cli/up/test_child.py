import json

import pytest

from queen.cli.up.child import ending, last_sentence


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", None),
        ('{"msg": "serving"}\nqueen inference: port in use\n', "queen inference: port in use"),
        (json.dumps({"msg": "refused", "error": "no space"}), "no space"),
    ],
)
def test_last_sentence_prefers_words_to_json(log, expected):
    """What a child said last to people is found among its JSON lines."""
    assert last_sentence(log) == expected


def test_signals_are_named():
    """An end by a signal is told by the signal's name."""
    assert ending(-9) == "was ended by SIGKILL"
    assert ending(2) == "ended with exit code 2"

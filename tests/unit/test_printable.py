import pytest

from queen.printable import brief, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("acme & söhne 東京", "acme & söhne 東京"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\x9b2Jb", r"a\x9b2Jb"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u200bb", r"a\u200bb"),
        ("a\u00a0b\n", r"a\xa0b\n"),
        ("a\U000e0041b", r"a\U000e0041b"),
        ("a\ud800b", r"a\ud800b"),
        (r"a\x1bb", r"a\\x1bb"),
    ],
)
def test_a_terminal_shows_what_a_name_holds(text, shown):
    """Nothing in it is obeyed or hidden, and no two names look the same by it."""
    assert printable(text) == shown


def test_an_error_quotes_little():
    """The beginning of a text, printable, and of a list or an object its kind alone."""
    assert brief("a" * 100, 3) == "aaa..."
    assert brief("\x1b[2J") == r"\x1b[2J"
    assert [brief(value) for value in (1.5, None, [1, 2], {"a": 1})] == [
        *("1.5", "None", "a list", "a dict")
    ]

"""Text of others at a terminal: names of accounts, groups and models may hold anything."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""`text` with every character that a terminal would obey, or not show, as an escape.

    Those are control characters, marks that turn the direction of writing, and spaces other than
    the plain one: "a\x1b[2J" for instance stands there with its letters. A backslash is doubled,
    so that no name passes for the escaped form of another.
    """
    return "".join(map(_escaped, text))


def brief(value: object, most: int = 64) -> str:
    """The first `most` characters of a plain value of a file, printable; of a list its kind."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    text = str(value)
    return printable(text if len(text) <= most else f"{text[:most]}...")


def _escaped(letter: str) -> str:
    if letter.isprintable() and letter != "\\":
        return letter
    return letter.encode("unicode_escape").decode()

"""Names that a reader takes for one another: by case, width, letters of other scripts, or spaces.

Two accounts that were meant to share a group share no budget if its names differ by a letter that
looks the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_LETTERS = str.maketrans(
    "аеорсухкмнтвіјѕһԛԝ" + "οανρτυχικμη" + "01|ı",  # noqa: RUF001 - the letters that are meant
    "aeopcyxkmhtbijshqw" + "oavptuxikmn" + "olli",
)
# Greek capitals look like other letters than their small forms.
_CAPITALS = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX")  # noqa: RUF001
_DASHES = {"Pd", "Pc"}
_UNSEEN = {"Zs", "Zl", "Zp", "Cf", "Cc", "Mn"}


def skeleton(name: str) -> str:
    """The form that names which look alike have in common; it is for comparison alone."""
    plain = unicodedata.normalize("NFKD", name).translate(_CAPITALS).casefold()
    letters = (
        "-" if unicodedata.category(letter) in _DASHES else letter
        for letter in plain.translate(_LETTERS)
        if unicodedata.category(letter) not in _UNSEEN
    )
    return "".join(letters)


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Sets of different names that look alike, each in order of their first use."""
    alike: dict[str, dict[str, None]] = {}
    for name in names:
        alike.setdefault(skeleton(name), {})[name] = None
    return [tuple(group) for group in alike.values() if len(group) > 1]

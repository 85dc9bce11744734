"""Names that look alike."""

from __future__ import annotations

import pytest

from queen.serving.identity.lookalikes import look_alikes


@pytest.mark.parametrize(
    "other",
    [
        "ACME corp",
        "Acme  Corp",
        "acme\u00a0corp",
        "acme\u200bcorp",
        "acmecorp",
        "ａｃｍｅ corp",  # noqa: RUF001 - wide letters
        "асме соrр",  # noqa: RUF001 - Cyrillic letters
        "ΑCΜΕ CΟRΡ",  # noqa: RUF001 - Greek capitals
        "acme c0rp",
        "ácme corp",
    ],
)
def test_names_that_look_alike_are_found(other: str) -> None:
    """By case, spaces, width, letters of other scripts, digits and accents."""
    assert look_alikes(["acme corp", "other", other, "acme corp"]) == [("acme corp", other)]


def test_names_that_differ_are_left_alone() -> None:
    """A dash and an underline are alike; another letter is not."""
    assert look_alikes(["acme", "acne", "acme-1", "acme-2", "eu", "us", "mail", "mall"]) == []
    assert look_alikes(["team-a", "team_a"]) == [("team-a", "team_a")]

"""The tree of errors."""

from __future__ import annotations

import inspect
import re

from queen import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def test_every_error_is_of_one_tree() -> None:
    """A handler of QueenError catches every error that Queen raises on purpose."""
    assert len(KINDS) > 20
    assert all(issubclass(kind, errors.QueenError) for kind in KINDS)


def test_reasons_are_stable_names_and_differ() -> None:
    """Callers branch on them; only what a caller never sees shares the reason of its base."""
    inside = {errors.PeerUnavailable, errors.PeerOverloaded}
    reasons = [kind.reason for kind in KINDS if kind not in inside]
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch("[A-Z]+(_[A-Z]+)*", reason) for reason in reasons)


def test_every_error_says_who_raises_it_and_whether_to_retry() -> None:
    """A reader of one docstring knows where an error comes from and what to do about it."""
    for kind in KINDS:
        if kind is not errors.QueenError:
            words = " ".join((kind.__doc__ or "").split())
            assert "Raised by" in words or "Raised before" in words, kind
            assert re.search(r"[Rr]etry|another replica", words), kind


def test_errors_carry_what_their_handlers_need() -> None:
    """A field to blame, a delay to wait."""
    assert errors.ShapeMismatch("x", field="inputs[0]").field == "inputs[0]"
    assert errors.InvalidQuery("x").field == ""
    assert errors.Overloaded("x", retry_after_seconds=2).retry_after_seconds == 2

"""Calls of scripts; tests/contract runs the scripts themselves."""

from __future__ import annotations

import hashlib

from queen_sensitivity.ledger_store.redis.scripts import APPEND, ERASE, LOAD, Script

SCRIPT = Script("return 1")


def test_a_call_names_its_script_by_digest() -> None:
    """The keys are counted, and the first of them decides which server gets the call."""
    command = SCRIPT.call(["k1", "k2"], [7, b"x"])
    digest = hashlib.sha1(b"return 1", usedforsecurity=False).hexdigest()
    assert command.words == ("EVALSHA", digest, 2, "k1", "k2", 7, b"x")
    assert (command.key, command.script) == ("k1", "return 1")


def test_a_call_can_carry_the_text_of_its_script() -> None:
    """For a server that does not know the digest; it is not repeated a second time."""
    command = SCRIPT.call(["k"], [7]).with_text()
    assert command.words == ("EVAL", "return 1", 1, "k", 7)
    assert command.script == ""


def test_every_script_has_a_digest_of_its_own() -> None:
    """Otherwise a server would run the wrong script."""
    assert len({script.digest for script in (APPEND, ERASE, LOAD, SCRIPT)}) == 4

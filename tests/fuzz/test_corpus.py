"""The corpus, replayed, and the parts of the fuzzer that a run relies on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from queen.serving.logging import configure_logging
from tests.fuzz.mutations import Field, decode, encode, mutate_message, mutate_text, varint
from tests.fuzz.problems import CORPUS, MOST_CORPUS_BYTES, Problem, corpus_of, write_finding
from tests.fuzz.session import Session
from tests.fuzz.targets.target import Target
from tests.fuzz.typed import attempt_typed
from tests.unit.perturber.flagged import small_bundle


class Running:
    """An open session, and the event loop that it runs in."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.runner = asyncio.Runner()
        self.session = Session(small_bundle(folder), folder, out)
        self.runner.run(self.session.open())

    def attempt(self, name: str, data: bytes) -> str:
        """How a target received bytes."""
        return self.runner.run(self.session.attempt(name, data))

    def close(self) -> None:
        """End the services."""
        self.runner.run(self.session.close())
        self.runner.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A session for all tests; its findings go nowhere that lasts."""
    configure_logging("fuzz", "error")
    folder = tmp_path_factory.mktemp("fuzz")
    opened = Running(folder, folder / "findings")
    yield opened
    opened.close()


def test_every_seed_is_received_as_it_should_be(running: Running) -> None:
    """A mutant of a message that is refused anyhow would test little."""
    wrong = {
        f"{name} {seed}": outcome
        for name, target in running.session.targets.items()
        for seed, data in target.seeds.items()
        if (outcome := running.attempt(name, data)) not in {"OK", "read"}
    }
    assert wrong == {
        "admin-exportaccounts two": "NOT_FOUND",
        "credential token-stale": "UNAUTHENTICATED",
        "operator reader": "PERMISSION_DENIED",
    }


def test_the_corpus_causes_no_problem(running: Running) -> None:
    """A file of it broke a promise once, or lies where code is easily got wrong."""
    broken = {
        str(path): outcome
        for name in running.session.targets
        for path in corpus_of(name)
        if (outcome := running.attempt(name, running.session.read(path))).startswith("PROBLEM")
    }
    assert broken == {}


def test_the_corpus_is_small_and_belongs_to_targets(running: Running) -> None:
    """A folder is named for a target, and a file can be read in a review."""
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert files
    assert {path.parent.name for path in files} <= {*running.session.targets, "live"}
    assert max(path.stat().st_size for path in files) <= MOST_CORPUS_BYTES


def test_typed_messages_cause_no_problem(running: Running) -> None:
    """Messages that parse, with any values: the checks behind the parser hold."""
    for target in running.session.targets.values():
        if target.schema is not None and target.schema.fields:

            def attempt(data: bytes, name: str = target.name) -> None:
                assert not running.attempt(name, data).startswith("PROBLEM")

            attempt_typed(target, attempt, examples=15)


def test_mutants_cause_no_problem(running: Running) -> None:
    """Some hundred mutants of everything, the same ones each time."""
    random = Random(1)
    outcomes = [running.attempt(*running.session.mutant(random)) for _ in range(600)]
    assert not [outcome for outcome in outcomes if outcome.startswith("PROBLEM")]
    # Most are refused, and enough of them come through.
    assert outcomes.count("OK") > 60
    assert outcomes.count("INVALID_ARGUMENT") > 200


def test_a_problem_is_kept_with_fewer_bytes(running: Running) -> None:
    """The bytes that cause a problem are cut down to those that matter, and join the corpus."""

    async def attempt(data: bytes) -> str:
        if b"boom" in data:
            raise ValueError("a bug")
        return "read"

    session = running.session
    session.targets["buggy"] = Target("buggy", {}, attempt)
    try:
        outcome = running.attempt("buggy", b"x" * 100 + b"boom" + b"y" * 100)
        (file,) = [path for kind, path in session.findings.items() if kind.startswith("buggy")]
    finally:
        del session.targets["buggy"]
    assert outcome.startswith("PROBLEM valueerror-at-test-corpus-py")
    assert file.read_bytes() == b"boom"
    assert file.name.startswith("valueerror-at-test-corpus-py")


def test_a_file_names_its_problem(tmp_path: Path) -> None:
    """By its kind, so that the same problem with other numbers is one."""
    first = write_finding(tmp_path, "infer", Problem("slow: 2.5 s for 7 bytes"), b"a")
    assert first.name == "slow-s-for-bytes-ca978112"
    assert Problem("slow: 9.5 s for 8 bytes").kind == "slow-s-for-bytes"


def test_messages_are_read_as_fields() -> None:
    """Numbers, texts and what lies in them come back as they were; other bytes are no message."""
    fields = [Field(1, 2, b"small"), Field(2, 0, varint(2**64 - 1)), Field(3, 5, bytes(4))]
    assert decode(encode(fields)) == fields
    assert decode(b"\x0a\x05ab") is None
    assert decode(b"\x0b") is None
    assert decode(b"\x08\xff") is None


def test_mutants_follow_from_their_seed() -> None:
    """A run can be repeated."""
    data = encode([Field(1, 2, b"small"), Field(5, 2, encode([Field(1, 2, b"x")]))])
    for mutate in (mutate_message, mutate_text):
        first, second = (
            [mutate(data, random, (data,)) for _ in range(50)] for random in (Random(3), Random(3))
        )
        assert first == second
        assert len(set(first)) > 25

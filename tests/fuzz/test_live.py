"""A short run against the services as processes, and connections that break each rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.bundles import SmallBundle
from tests.fuzz.live.attempts import Attempt
from tests.fuzz.live.deployment import Deployed, deployed
from tests.fuzz.live.fuzzing import LiveFuzz
from tests.fuzz.live.raw_frames import BREAKS, break_framing, break_http
from tests.integration.inference.door import raw_request
from tests.unit.perturber.flagged import small_bundle
from tests.waiting import eventually


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle."""
    return small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def services(small: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The three services."""
    with deployed(small, tmp_path_factory.mktemp("live")) as running:
        yield running


async def test_mutants_over_the_wire_break_no_promise(services: Deployed, tmp_path: Path) -> None:
    """No failure, no hang, each call counted, memory flat, the bystander served and unchanged."""
    tally = await LiveFuzz(services, seed=1, out=tmp_path).run(seconds=60, attempts=400)
    assert tally.problems == {}
    assert tally.attempts == 400
    assert {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED"} <= set(tally.codes)
    assert tally.good_seconds


def test_an_attempt_can_be_kept() -> None:
    """A finding over the wire joins the corpus whole, with its metadata."""
    metadata = (("authorization", "Bearer x"), ("x-bin", b"\xff\x00"))
    attempt = Attempt("admin", "/a/b", b"\x0a\xff", metadata, is_compressed=True, must_fail=True)
    assert Attempt.from_json(attempt.to_json()) == attempt


def test_metrics_answer_after_broken_requests(services: Deployed) -> None:
    """Requests that are no HTTP end their own connections, and no other one."""
    for seed in range(40):
        break_http(services.door.addresses["metrics"], Random(seed))
    assert "grpc_server_handled_total" in services.door.metrics()


@pytest.mark.parametrize("rule", BREAKS, ids=lambda rule: rule.__name__.strip("_"))
def test_a_broken_connection_leaves_no_trace(services: Deployed, rule: object) -> None:
    """Headers, prefixes and frames that no library sends: no line that is not ours, no traceback.

    gRPC's C library would write to stderr, and its Python layer would log the stack of each call
    whose caller is gone, and the header that is no text.
    """
    message = raw_request(services.small.inputs[:2]).SerializeToString()
    for seed in range(15):
        break_framing(services.door.address, message, Random(seed), rule)
    eventually(lambda: services.door.metric("queen_calls_in_work") == 0)
    assert services.door.is_running
    lines = services.door.log.read_text().splitlines()
    assert [line for line in lines if not line.startswith("{") or "Traceback" in line] == []

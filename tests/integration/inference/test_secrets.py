"""The perturbers' secrets, behind a front door with real peers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import structlog
from queen_inference.answers.fallback import PROTECT_CONFIDENCE
from queen_perturber.settings import PerturberSettings
from queen_perturber.wiring import open_service as open_perturber

from queen.bundle import open_bundle
from queen.method.answers.decoy import make_decoy, sketch_inputs
from queen.serving.server import running
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Door, open_door, write_accounts
from tests.service_process import ServiceProcess, running_service
from tests.waiting import until

PERTURBER, SENSITIVITY = "queen.api.v1.PerturberService", "queen.api.v1.SensitivityService"
FIRST, SECOND = b"the first secret of all", b"the second secret of all"
ACCOUNTS = dict.fromkeys(("early", "late"), "budget: 2, profile: strict")


@dataclass
class Deployment:
    """A bundle and a sensitivity service with empty ledgers."""

    small: SmallBundle
    sensitivity: ServiceProcess

    def decoy(self, secret: bytes, rows: np.ndarray) -> np.ndarray:
        """The answers of a secret's decoy, (B, C)."""
        bundle = open_bundle(self.small.path)
        return make_decoy(secret, bundle.digest, bundle.sketch_space).answers(sketch_inputs(rows))


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """The ledgers are in memory: each test begins with empty ones."""
    small = make_bundle(tmp_path / "b", samples=800)
    with ExitStack() as stack:
        settings = {"bundle": small.path, "state": "memory", "admin_port": 0}
        sensitivity = stack.enter_context(running_service("sensitivity", tmp_path, **settings))
        yield Deployment(small, sensitivity)


class Files:
    """The secret files of a perturber."""

    def __init__(self, folder: Path, current: bytes) -> None:
        folder.mkdir()
        self.current, self.retiring = folder / "secret", folder / "retiring"
        self.write(current)

    def write(self, current: bytes, retiring: bytes = b"") -> None:
        """Put other secrets into force; a perturber reads a file of its own once it is whole."""
        for path, secret in ((self.retiring, retiring), (self.current, current)):
            draft = path.with_suffix(".new")
            draft.write_bytes(secret)
            draft.replace(path)


@asynccontextmanager
async def door_to(deployment: Deployment, folder: Path, files: list[Files]) -> AsyncIterator[Door]:
    """A front door to a perturber for each of `files`, in this process."""
    async with AsyncExitStack() as stack:
        targets = []
        for own in files:
            settings = PerturberSettings(
                bundle=deployment.small.path,
                secret_file=own.current,
                retiring_secret_file=own.retiring,
                device="cpu",
                port=0,
                metrics_port=-1,
                drain_seconds=0,
            )
            process = await stack.enter_async_context(running(settings, open_perturber))
            targets.append(process.addresses["address"])
        door = open_door(
            deployment.small,
            write_accounts(folder, **ACCOUNTS),
            sensitivity_target=deployment.sensitivity.address,
            perturber_target=",".join(targets),
            assess_timeout_seconds=10.0,
            reverse_timeout_seconds=10.0,
            # A probe that is late would be a perturber that is gone: the machine may be busy.
            probe_seconds=1.0,
        )
        opened = await stack.enter_async_context(door)
        await opened.until_serving(SENSITIVITY, serving=True)
        yield opened


async def spend(door: Door, account: str, rows: np.ndarray) -> None:
    """Put an account over its budget."""
    for start in range(0, 400, 200):
        await door.client.ask(rows[start : start + 200], account)


async def test_two_perturbers_with_two_secrets_give_one_query_one_answer(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The set is refused, with a line that says why and a metric; mended files mend it."""
    files = [Files(tmp_path / "one", FIRST), Files(tmp_path / "two", SECOND)]
    rows = deployment.small.inputs
    query = rows[700:701]
    with structlog.testing.capture_logs() as lines:
        async with door_to(deployment, tmp_path, files) as door:
            await spend(door, "early", rows)
            answers = [await door.client.ask(query, "early") for _ in range(6)]
            assert len({answer.tobytes() for answer in answers}) == 1
            assert answers[0].max() == np.float32(PROTECT_CONFIDENCE)
            assert door.metric("queen_perturber_secrets_mixed") == 1
            assert door.metric("queen_dependency_up", dependency="perturber") == 0
            files[1].write(FIRST)
            await door.until_serving(PERTURBER, serving=True)
            assert door.metric("queen_perturber_secrets_mixed") == 0
            answers = [await door.client.ask(query, "early") for _ in range(6)]
            assert {answer.tobytes() for answer in answers} == {
                deployment.decoy(FIRST, query).tobytes()
            }
    refusals = [line for line in lines if line["event"] == "perturbers are refused"]
    assert len(refusals) == 1
    assert "give all perturbers the same secret files" in refusals[0]["problem"]
    assert "secret of all" not in str(lines)


async def test_a_rotation_changes_an_owners_answers_once_and_fails_no_request(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Perturber by perturber, asked all the while: at the retirement alone, from one to the other.

    An owner that crosses after the rotation is under the new secret from its first answer on.
    """
    files = [Files(tmp_path / "one", FIRST), Files(tmp_path / "two", FIRST)]
    rows = deployment.small.inputs
    query = rows[700:708]
    old, new = (deployment.decoy(secret, query).tobytes() for secret in (FIRST, SECOND))
    async with door_to(deployment, tmp_path, files) as door:
        await door.until_serving(PERTURBER, serving=True)

        async def asked(account: str) -> list[bytes]:
            """The answers of both perturbers, which are asked in turn."""
            return [(await door.client.ask(query, account)).tobytes() for _ in range(4)]

        await spend(door, "early", rows)
        assert await asked("early") == [old] * 4
        for own in files:
            own.write(SECOND, FIRST)
            assert await asked("early") == [old] * 4
        assert door.metric("queen_perturber_secrets_mixed") == 0
        await until(lambda: door.metric("queen_perturber_secrets", state="retiring") > 0)
        await spend(door, "late", rows)
        assert await asked("late") == [new] * 4
        assert await asked("early") == [old] * 4
        seen = []
        for own in files:
            own.write(SECOND)
            seen += await asked("early")
        kept = seen.count(old)
        assert seen == [old] * kept + [new] * (8 - kept)
        assert kept < 8
        assert await asked("late") == [new] * 4
        assert door.metric("queen_failure_mode_total", mode="protect") == 0
        assert door.metric("queen_contract_violations_total") == 0

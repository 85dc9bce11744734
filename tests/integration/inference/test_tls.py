"""A front door and its peers over mTLS, as real processes: who gets in, and renewals under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from queen_inference.peers.perturber import PERTURBER
from queen_inference.peers.sensitivity import SENSITIVITY

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc, sensitivity_pb2, sensitivity_pb2_grpc
from queen.serving.ports.credentials import channel_credentials
from queen.serving.ports.pem import PemFiles, read_pems
from queen.serving.status import reason_in
from tests.bundles import SmallBundle, make_bundle
from tests.certificates import LOOPBACK, Authority, make_authority, replace_pair
from tests.integration.inference.door import open_door, raw_request, write_accounts
from tests.service_process import ServiceProcess, run_refused, running_service
from tests.waiting import until

DOOR = "queen-inference"
LOADS, RENEWED = "config_load_total", {"file": "tls", "result": "success"}


@dataclass
class Peers:
    """Both peers, which admit the front door's certificate alone, and the authority of all."""

    small: SmallBundle
    authority: Authority
    sensitivity: ServiceProcess
    perturber: ServiceProcess
    files: dict[str, PemFiles]

    def door_settings(self, mine: PemFiles) -> dict[str, object]:
        """Settings of a front door that shows these files to its peers."""
        return {
            "sensitivity_target": self.sensitivity.address,
            "perturber_target": self.perturber.address,
            "sensitivity_name": "queen-sensitivity",
            "perturber_name": "queen-perturber",
            "peer_cert_file": mine.certificate,
            "peer_key_file": mine.key,
            "peer_ca_file": self.authority.trusted,
            "assess_timeout_seconds": 5.0,
            "reverse_timeout_seconds": 5.0,
        }


def tls_flags(files: PemFiles) -> dict[str, object]:
    """Flags of an inner service with these files."""
    return {
        "tls_cert_file": files.certificate,
        "tls_key_file": files.key,
        "tls_client_ca_file": files.authorities,
        "callers": DOOR,
    }


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """The peers as processes."""
    folder = Path(tmp_path_factory.mktemp("tls"))
    small = make_bundle(folder / "b", samples=400)
    (folder / "secret").write_bytes(bytes(range(32)))
    authority = make_authority(folder / "authority")
    files = {
        name: authority.issue(name, f"DNS:queen-{name}", *LOOPBACK)
        for name in ("sensitivity", "perturber")
    }
    own = {"sensitivity": {"state": "memory"}, "perturber": {"secret_file": folder / "secret"}}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                running_service(name, folder, bundle=small.path, **own[name], **tls_flags(pems))
            )
            for name, pems in files.items()
        }
        yield Peers(small, authority, processes["sensitivity"], processes["perturber"], files)


async def outcome(peers: Peers, files: PemFiles | None) -> set[tuple[str, str]]:
    """Codes and reasons of Assess and Reverse by a caller with these files, or in plaintext."""
    outcomes = set()
    for process, name in ((peers.sensitivity, "sensitivity"), (peers.perturber, "perturber")):
        options = [("grpc.ssl_target_name_override", f"queen-{name}")]
        dialed = (
            grpc.aio.insecure_channel(process.address)
            if files is None
            else grpc.aio.secure_channel(
                process.address, channel_credentials(read_pems(files)), options=options
            )
        )
        async with dialed as channel:
            call = (
                sensitivity_pb2_grpc.SensitivityServiceStub(channel).Assess(
                    sensitivity_pb2.AssessRequest(), timeout=10
                )
                if name == "sensitivity"
                else perturber_pb2_grpc.PerturberServiceStub(channel).Reverse(
                    perturber_pb2.ReverseRequest(), timeout=10
                )
            )
            try:
                await call
            except grpc.aio.AioRpcError as error:
                outcomes.add((error.code().name, reason_in(error.trailing_metadata() or ())))
    return outcomes


async def test_nobody_but_the_front_door_asks_in_an_accounts_name(
    peers: Peers, tmp_path: Path
) -> None:
    """Strangers end at the handshake, others of the authority by their name."""
    good = peers.authority.issue("good", f"DNS:{DOOR}")
    foreign = make_authority(tmp_path / "foreign").issue("foreign", f"DNS:{DOOR}")
    outside = (
        None,
        replace(foreign, authorities=peers.authority.trusted),
        peers.authority.issue("late", f"DNS:{DOOR}", days=-1),
        PemFiles(authorities=peers.authority.trusted),
    )
    for files in outside:
        assert await outcome(peers, files) == {("UNAVAILABLE", "")}
    another = peers.authority.issue("another", "DNS:queen-dashboard")
    assert await outcome(peers, another) == {("PERMISSION_DENIED", "CALLER_NOT_ADMITTED")}
    # The front door's own certificate gets as far as the bundle.
    assert {code for code, _ in await outcome(peers, good)} <= {
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
    }


async def test_renewals_under_calls_lose_no_request(peers: Peers, tmp_path: Path) -> None:
    """All certificates are renewed while requests come; each is answered with a verdict."""
    small, authority = peers.small, peers.authority
    mine = authority.issue("mine", f"DNS:{DOOR}")
    accounts = write_accounts(tmp_path, alice="budget: 1")
    answered = 0

    async def ask_until(renewed: asyncio.Event) -> None:
        nonlocal answered
        while not renewed.is_set():
            await door.client.send(raw_request(small.inputs[answered % 300 :][:8]))
            answered += 1

    async with open_door(small, accounts, **peers.door_settings(mine)) as door:
        await door.until_serving(SENSITIVITY, serving=True)
        await door.until_serving(PERTURBER, serving=True)
        renewed = asyncio.Event()
        asking = [asyncio.create_task(ask_until(renewed)) for _ in range(3)]
        for turn in range(3):
            for name, files in peers.files.items():
                fresh = authority.issue(f"{name}-{turn}", f"DNS:queen-{name}", *LOOPBACK)
                replace_pair(files, fresh)
            replace_pair(mine, authority.issue(f"mine-{turn}", f"DNS:{DOOR}"))
            await until(lambda: door.metric(LOADS, **RENEWED) >= 2 * (turn + 2))  # noqa: B023
            later = answered
            await until(lambda: answered > later + 3 or any(task.done() for task in asking))  # noqa: B023
        renewed.set()
        await asyncio.gather(*asking)
        assert door.metric("queen_failure_mode_total", mode="protect") == 0
        assert door.metric("queen_dependency_up", dependency="sensitivity") == 1
        assert door.metric("queen_dependency_up", dependency="perturber") == 1


async def test_a_front_door_over_tls_answers_those_who_trust_it(
    peers: Peers, tmp_path: Path
) -> None:
    """A caller in plaintext gets nothing, and health alone has a port without TLS."""
    small, mine = peers.small, peers.authority.issue("front", *LOOPBACK)
    files = {"tls_cert_file": mine.certificate, "tls_key_file": mine.key, "health_port": 0}
    accounts = write_accounts(tmp_path, alice="")
    async with open_door(small, accounts, **files) as door:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await door.client.send(raw_request(small.inputs[:1]))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        trusting = channel_credentials(read_pems(PemFiles(authorities=peers.authority.trusted)))
        address = door.process.addresses["address"]
        async with grpc.aio.secure_channel(address, trusting) as channel:
            response = await type(door.client)(channel).send(raw_request(small.inputs[:1]))
        assert response.model_name == "small"
        assert "health" in door.process.addresses


async def test_without_a_way_to_its_peers_a_door_that_waits_does_not_serve(
    peers: Peers, tmp_path: Path
) -> None:
    """It says which peer was never reached, and why."""
    imposter = peers.authority.issue("imposter", "DNS:somebody")
    said = run_refused(
        "inference",
        bundle=peers.small.path,
        accounts=write_accounts(tmp_path, alice=""),
        port=0,
        metrics_port=-1,
        await_peers_seconds=1,
        **peers.door_settings(imposter),
    )
    assert "never reached: perturber: " in said
    assert "sensitivity: " in said
    assert "PERMISSION_DENIED" in said or "UNAVAILABLE" in said

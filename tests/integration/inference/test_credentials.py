"""Keys, tokens and client certificates at a front door with a real port."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from queen.api.oip import open_inference_pb2 as oip
from queen.serving.auth import key_digest
from queen.serving.lasting import followed
from tests.bundles import SmallBundle, make_bundle
from tests.certificates import LOOPBACK, make_authority
from tests.integration.inference.door import Client, Door, open_door, raw_request
from tests.integration.refusals import reason_of
from tests.issuer import AUDIENCE, ISSUER, public_jwk, token, write_key_set
from tests.waiting import until

SOON = time.time() + 3600
Metadata = tuple[tuple[str, str], ...]
KEY: Metadata = (("authorization", "Bearer key"),)
JWT = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_tier_claim": "plan"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle, with the inputs that it was made from."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b")


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "LOOK_SECONDS", 0.01)


def write(folder: Path, *entries: str) -> Path:
    """accounts.yaml of some entries."""
    file = folder / "accounts.yaml"
    file.write_text("accounts:\n" + "".join(f"- {entry}\n" for entry in entries))
    return file


def one_row(small: SmallBundle) -> oip.ModelInferRequest:
    """A request."""
    return raw_request(small.inputs[:1].astype(np.float32))


async def ask(door: Door, small: SmallBundle, credential: str) -> oip.ModelInferResponse:
    """The answer to a request with a bearer credential."""
    metadata = (("authorization", f"Bearer {credential}"),)
    return await door.client.stub.ModelInfer(one_row(small), metadata=metadata, timeout=10)


async def refusal(door: Door, small: SmallBundle, credential: str) -> tuple[str, str]:
    """Code and reason with which a credential is refused; nothing of it is repeated."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(door, small, credential)
    assert not credential or credential not in (caught.value.details() or "")
    return caught.value.code().name, reason_of(caught.value)


class Turnover:
    """A credential that turns over: its file with the old one, with both, and with the new one."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.accounts = write(folder, "{id: a, subject: alice}")
        self.file, self.settings = self.accounts, {}
        self.credentials = {"old": "old-key", "new": "new-key"}
        if kind == "key_set":
            self.file = folder / "jwks.json"
            self.settings = {**JWT, "jwt_key_set": self.file}
            self.credentials = {
                name: token("ec", name, name, exp=SOON) for name in self.credentials
            }
        self.state("old")

    def state(self, *names: str) -> str:
        """Write the file with some of the two; the digest that tells when it is in force."""
        if self.kind == "key_set":
            write_key_set(self.file, *(public_jwk("ec", name, name) for name in names))
        else:
            keys = [f"{{sha256: {key_digest(self.credentials[name])}}}" for name in names]
            write(self.file.parent, f"{{id: a, keys: [{', '.join(keys)}]}}")
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:12]


@pytest.mark.parametrize("kind", ["accounts", "key_set"])
async def test_credentials_turn_over_without_a_failed_request(
    small: SmallBundle, tmp_path: Path, kind: str
) -> None:
    """Old alone, both, new alone; at the end the old one is unknown, and nothing else failed."""
    turnover = Turnover(tmp_path, kind)
    async with open_door(small, turnover.accounts, **turnover.settings) as door:
        answered = {"old": 0, "new": 0}
        name, is_over = "old", False

        async def use() -> None:
            while not is_over:
                used = name
                await ask(door, small, turnover.credentials[used])
                answered[used] += 1

        async def in_force(*names: str) -> None:
            digest = turnover.state(*names)
            await until(lambda: door.metric("queen_config_info", file=kind, sha256=digest) > 0)

        users = [asyncio.create_task(use()) for _ in range(4)]
        await until(lambda: answered["old"] > 20)
        await in_force("old", "new")
        name = "new"
        await until(lambda: answered["new"] > 20)
        await in_force("new")
        seen = answered["new"]
        await until(lambda: answered["new"] > seen + 20)
        is_over = True
        await asyncio.gather(*users)
        code, reason = await refusal(door, small, turnover.credentials["old"])
        unknown = "TOKEN_KEY_UNKNOWN" if kind == "key_set" else "CREDENTIAL_UNKNOWN"
        assert (code, reason) == ("UNAUTHENTICATED", unknown)


async def test_a_key_that_is_removed_stops_after_a_slip_in_the_file(
    small: SmallBundle, tmp_path: Path
) -> None:
    """A day that no calendar has once ended the watch: the key worked until a restart."""
    file = write(tmp_path, f"{{id: a, key_sha256: {key_digest('gone')}}}")
    async with open_door(small, file) as door:
        write(tmp_path, "{id: a, keys: [{sha256: x, expires: 2025-02-30}]}")
        await until(lambda: door.metric("config_load_total", file="accounts", result="failure") > 0)
        await ask(door, small, "gone")
        write(tmp_path, f"{{id: 2025-02-30, key_sha256: {key_digest('new')}}}")
        await until(lambda: door.metric("config_load_total", file="accounts", result="success") > 1)
        assert (await ask(door, small, "new")).model_name == "small"
        assert await refusal(door, small, "gone") == ("UNAUTHENTICATED", "CREDENTIAL_UNKNOWN")


async def test_tokens_of_an_issuer_open_accounts(small: SmallBundle, tmp_path: Path) -> None:
    """Those of listed subjects; each fault has its code and reason, and a new key works at once."""
    file = write(tmp_path, f"{{id: a, key_sha256: {key_digest('key')}}}", "{id: b, subject: alice}")
    keys = write_key_set(tmp_path / "jwks.json", public_jwk("rsa", "rsa"))
    async with open_door(small, file, **JWT, jwt_key_set=keys) as door:
        await ask(door, small, "key")
        await ask(door, small, token(exp=SOON))
        told = {
            name: await refusal(door, small, credential)
            for name, credential in {
                "expired": token(exp=SOON - 7200),
                "foreign": token(exp=SOON, name="foreign"),
                "of another issuer": token(exp=SOON, iss="https://other.test"),
                "for another audience": token(exp=SOON, aud="other"),
                "of an unknown key": token("ec", "new", exp=SOON),
                "of an unlisted subject": token(exp=SOON, sub="mallory"),
                "of an unknown tier": token(exp=SOON, plan="gold"),
                "no token": "a.b.c",
                "no credential": "",
            }.items()
        }
        assert told == {
            "expired": ("UNAUTHENTICATED", "CREDENTIAL_EXPIRED"),
            "foreign": ("UNAUTHENTICATED", "TOKEN_SIGNATURE"),
            "of another issuer": ("UNAUTHENTICATED", "TOKEN_ISSUER"),
            "for another audience": ("UNAUTHENTICATED", "TOKEN_AUDIENCE"),
            "of an unknown key": ("UNAUTHENTICATED", "TOKEN_KEY_UNKNOWN"),
            "of an unlisted subject": ("PERMISSION_DENIED", "SUBJECT_UNLISTED"),
            "of an unknown tier": ("PERMISSION_DENIED", "TIER_UNKNOWN"),
            "no token": ("UNAUTHENTICATED", "TOKEN_MALFORMED"),
            "no credential": ("UNAUTHENTICATED", "CREDENTIAL_MISSING"),
        }
        write_key_set(keys, public_jwk("ec", "new"))
        await until(lambda: door.metric("config_load_total", file="key_set", result="success") > 1)
        await ask(door, small, token("ec", "new", exp=SOON))
        assert (await refusal(door, small, token(exp=SOON)))[1] == "TOKEN_KEY_UNKNOWN"


async def test_a_client_certificate_opens_the_account_that_lists_its_name(
    small: SmallBundle, tmp_path: Path
) -> None:
    """Over mTLS; the certificate of another name is genuine and denied, and a key goes first."""
    authority = make_authority(tmp_path / "ca")
    server = authority.issue("door", *LOOPBACK)
    file = write(
        tmp_path,
        "{id: a, san: ['spiffe://acme/web']}",
        f"{{id: b, key_sha256: {key_digest('key')}}}",
    )
    tls = {
        "tls_cert_file": server.certificate,
        "tls_key_file": server.key,
        "tls_client_ca_file": authority.trusted,
    }
    reasons = {}
    async with open_door(small, file, **tls) as door:
        for name in ("spiffe://acme/web", "spiffe://acme/other"):
            mine = authority.issue("client", f"URI:{name}")
            assert mine.certificate is not None
            assert mine.key is not None
            credentials = grpc.ssl_channel_credentials(
                authority.trusted.read_bytes(),
                mine.key.read_bytes(),
                mine.certificate.read_bytes(),
            )
            address = door.process.addresses["address"]
            async with grpc.aio.secure_channel(address, credentials) as channel:
                client = Client(channel)
                answer = await client.stub.ModelInfer(
                    one_row(small), metadata=(("authorization", "Bearer key"),), timeout=10
                )
                assert answer.model_name == "small"
                try:
                    await client.stub.ModelInfer(one_row(small), timeout=10)
                except grpc.aio.AioRpcError as error:
                    reasons[name] = (error.code().name, reason_of(error))
    assert reasons == {"spiffe://acme/other": ("PERMISSION_DENIED", "CERTIFICATE_UNLISTED")}


@pytest.mark.parametrize("private_metadata", [False, True])
async def test_metadata_and_reflection_need_a_credential_where_they_are_private(
    small: SmallBundle, tmp_path: Path, private_metadata: bool
) -> None:
    """Liveness, readiness and health never do."""
    file = write(tmp_path, f"{{id: a, key_sha256: {key_digest('key')}}}")
    async with open_door(small, file, private_metadata=private_metadata) as door:
        stub, health = door.client.stub, health_pb2_grpc.HealthStub(door.channel)

        async def listed(metadata: Metadata) -> int:
            question = reflection_pb2.ServerReflectionRequest(list_services="")
            reflection = reflection_pb2_grpc.ServerReflectionStub(door.channel)
            answers = reflection.ServerReflectionInfo(iter([question]), metadata=metadata)
            return sum([len(answer.list_services_response.service) async for answer in answers])

        async def told(metadata: Metadata) -> list[str]:
            calls = (
                stub.ServerMetadata(oip.ServerMetadataRequest(), metadata=metadata),
                stub.ModelMetadata(oip.ModelMetadataRequest(), metadata=metadata),
                listed(metadata),
            )
            return [await _outcome(call) for call in calls]

        assert await told(KEY) == ["OK"] * 3
        expected = "CREDENTIAL_MISSING" if private_metadata else "OK"
        assert await told(()) == [expected] * 3
        assert (await stub.ServerLive(oip.ServerLiveRequest())).live
        assert (await stub.ServerReady(oip.ServerReadyRequest())).ready
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == 1


async def _outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return "OK"

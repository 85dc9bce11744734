"""A running front door and its peers, for the integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from queen_inference.settings import InferenceSettings
from queen_inference.wiring import open_service

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from queen.serving.auth import key_digest
from queen.serving.server import Process, running
from tests.bundles import SmallBundle
from tests.waiting import until

NOWHERE = "127.0.0.1:1"
"""A target that refuses connections."""


def write_accounts(folder: Path, group_budgets: str = "", **policies: str) -> Path:
    """accounts.yaml with an account for each keyword; its key is `key-of-NAME`.

    `group_budgets` are the items of `groups`, in YAML.
    """
    lines = [
        f"- {{id: {name}, key_sha256: {key_digest('key-of-' + name)}{policy and ', ' + policy}}}"
        for name, policy in policies.items()
    ]
    file = folder / "accounts.yaml"
    file.write_text("accounts:\n" + "\n".join(lines) + f"\ngroups: [{group_budgets}]\n")
    return file


class Client:
    """Asks a door in the name of an account."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(channel)

    async def send(
        self, request: oip.ModelInferRequest, account: str | None = "alice", timeout: float = 10
    ) -> oip.ModelInferResponse:
        """The response to a request as it is."""
        key = () if account is None else (("authorization", f"Bearer key-of-{account}"),)
        response: oip.ModelInferResponse = await self.stub.ModelInfer(
            request, metadata=key, timeout=timeout
        )
        return response

    async def ask(self, rows: NDArray[np.float32], account: str = "alice") -> NDArray[np.float32]:
        """Answers (B, C) to queries (B, I)."""
        response = await self.send(raw_request(rows), account)
        shape = tuple(response.outputs[0].shape)
        return np.frombuffer(response.raw_output_contents[0], "<f4").reshape(shape)


def raw_request(rows: NDArray[Any], **fields: Any) -> oip.ModelInferRequest:
    """A request with raw contents."""
    request = oip.ModelInferRequest(model_name="small", **fields)
    request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.astype("<f4").tobytes())
    return request


class Door:
    """A door in this process, with a client."""

    def __init__(self, process: Process, client: Client, channel: grpc.aio.Channel) -> None:
        self.process, self.client, self.channel = process, client, channel

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the metrics."""
        return self.process.shell.metrics.registry.get_sample_value(name, labels) or 0.0

    async def until_serving(self, name: str, *, serving: bool) -> None:
        """Wait for the health of a name."""
        await until(lambda: self.process.shell.health.is_serving(name) is serving)


@asynccontextmanager
async def open_door(small: SmallBundle, accounts: Path, **settings: Any) -> AsyncIterator[Door]:
    """A front door on free ports; its peers are nowhere unless `settings` say where."""
    chosen = {
        "sensitivity_target": NOWHERE,
        "perturber_target": NOWHERE,
        "probe_seconds": 0.1,
        "max_batch_rows": 64,
        "max_request_rows": 256,
        "default_profile": "paper",
        # Most doors have no peers, and tests ask them as much as they like.
        "unassessed_rows": 1 << 30,
        **settings,
    }
    full = InferenceSettings(
        bundle=small.path, accounts=accounts, port=0, metrics_port=-1, **chosen
    )
    async with running(full, open_service) as process:
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(process.addresses["address"], options) as channel:
            yield Door(process, Client(channel), channel)

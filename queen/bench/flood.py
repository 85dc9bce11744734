"""A hostile account: asks as much as its limits allow, until it is ended.

    python -m queen.bench.flood ENDPOINT KEY MODE DATA.npz

prints a line once its first answer or refusal has come. In the mode `bulk` it keeps full requests
in flight; in the mode `cancelling` it gives up each request after a millisecond.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.load import build_requests

CANCEL_SECONDS = 0.001
_REQUESTS = 64
_NOISE = 0.3
_NICENESS = 10
"""A stranger's client runs on a machine of its own: here it must not take the server's time."""


@dataclass(frozen=True)
class Mode:
    """Rows of a request, requests in flight, and the time after which each is given up."""

    rows: int
    in_flight: int
    gives_up_seconds: float | None = None


MODES = {"bulk": Mode(1024, 2), "cancelling": Mode(64, 32, CANCEL_SECONDS)}
"""Both hold `account_rows` rows, the most that the door lets an account hold."""


async def flood(endpoint: str, key: str, mode: Mode, requests: list[oip.ModelInferRequest]) -> None:
    """Ask until cancelled; refusals are asked again at once."""
    metadata = (("authorization", f"Bearer {key}"),)
    async with grpc.aio.insecure_channel(endpoint) as channel:
        infer = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        is_heard = asyncio.Event()

        async def ask_in_turn(first: int) -> None:
            index = first
            while True:
                call = infer(requests[index % len(requests)], metadata=metadata)
                if mode.gives_up_seconds is not None:
                    asyncio.get_running_loop().call_later(mode.gives_up_seconds, call.cancel)
                # gRPC's own wait does not raise: a call that was given up would look like the
                # end of this task. A refusal that comes at once must not keep others from asking.
                await call.code()
                await asyncio.sleep(0)
                is_heard.set()
                index += mode.in_flight

        async def announce() -> None:
            await is_heard.wait()
            sys.stdout.write("asking\n")
            sys.stdout.flush()

        await asyncio.gather(announce(), *map(ask_in_turn, range(mode.in_flight)))


def unseen_requests(
    endpoint: str, key: str, inputs: NDArray[np.float32], rows: int
) -> list[oip.ModelInferRequest]:
    """Requests of samples with noise, other ones for each key: no account has asked them."""
    with grpc.insecure_channel(endpoint) as channel:
        stub = oip_grpc.GRPCInferenceServiceStub(channel)
        model = stub.ModelMetadata(oip.ModelMetadataRequest())
    rng = np.random.default_rng(list(key.encode()))
    chosen = inputs[rng.integers(0, len(inputs), _REQUESTS * rows)]
    noisy = chosen + rng.normal(0, _NOISE, chosen.shape)
    # Requests beyond the range of the samples would be refused before they cost anything.
    unseen = noisy.clip(inputs.min(), inputs.max()).astype(np.float32)
    return build_requests(model.name, model.inputs[0].name, unseen, rows)


def main(endpoint: str, key: str, mode_name: str, data: str) -> None:
    """Flood a server; ended by a signal."""
    os.nice(_NICENESS)
    with np.load(Path(data), allow_pickle=False) as archive:
        inputs: NDArray[np.float32] = archive["x"][:2048].astype(np.float32)
    mode = MODES[mode_name]
    asyncio.run(flood(endpoint, key, mode, unseen_requests(endpoint, key, inputs, mode.rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])

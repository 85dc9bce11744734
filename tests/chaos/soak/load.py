"""A steady, mixed load whose state is saturated: after one pass nothing new is recorded."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import grpc
import numpy as np

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from queen.api.v1 import admin_pb2, admin_pb2_grpc
from tests.bundles import SmallBundle
from tests.integration.inference.door import raw_request, write_accounts
from tests.operators import as_operator

_PAUSE_SECONDS = 0.04
_OPERATOR_SECONDS = 5.0
_DEADLINE_SECONDS = 10.0
_ROWS = {"steady": 8, "spent": 4, "careful": 1, "bulk": 64}
"""Accounts, and the queries of each of their requests."""
_EXPECTED = {"OK", "UNAUTHENTICATED", "INVALID_ARGUMENT", "NOT_FOUND"}


def write_soak_accounts(folder: Path) -> Path:
    """accounts.yaml of the load: within budget, over it, and two more profiles."""
    return write_accounts(
        folder,
        steady="",
        spent="budget: 2",
        careful="profile: safe",
        bulk="profile: balanced, group: pair",
    )


class SoakLoad:
    """Threads that ask one deployment, which is at `addresses` of its up.json."""

    def __init__(self, small: SmallBundle, addresses: dict[str, object]) -> None:
        self.counts: Counter[str] = Counter()
        self._small = small
        self._addresses = addresses
        self._stop = threading.Event()
        works: list[Callable[[], None]] = [self._operate, self._err]
        works += [partial(self._ask, account) for account in _ROWS]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]

    @property
    def requests(self) -> int:
        """Requests to the front door so far."""
        return sum(self.counts.values())

    @property
    def unexpected(self) -> list[str]:
        """Endings of requests other than the expected ones."""
        return sorted(set(self.counts) - _EXPECTED)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _ask(self, account: str) -> None:
        """Send the training samples again and again; typed tensors from the account `spent`."""
        rows, inputs = _ROWS[account], self._small.inputs
        with grpc.insecure_channel(str(self._addresses["inference"])) as channel:
            stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            start = 0
            while not self._stop.wait(_PAUSE_SECONDS):
                part = inputs[start : start + rows]
                start = (start + rows) % (len(inputs) - rows)
                request = _typed_request(part) if account == "spent" else raw_request(part)
                self._send(stub, request, account)

    def _err(self) -> None:
        """Send requests of strangers and wrong ones, each on a new connection."""
        wrong = self._small.inputs[:2, :3]
        right = self._small.inputs[:2]
        trials = [
            (raw_request(right), "nobody"),
            (raw_request(wrong), "steady"),
            (oip.ModelInferRequest(model_name="another"), "steady"),
        ]
        while not self._stop.is_set():
            for request, account in trials:
                options = [("grpc.use_local_subchannel_pool", 1)]
                with grpc.insecure_channel(str(self._addresses["inference"]), options) as channel:
                    stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(channel)
                    self._send(stub, request, account)
                self._stop.wait(5 * _PAUSE_SECONDS)

    def _operate(self) -> None:
        """Do as monitoring and an operator do: read metrics, lists, exports."""
        metrics = self._addresses["metrics"]
        assert isinstance(metrics, dict)
        with grpc.insecure_channel(str(self._addresses["admin"])) as channel:
            key = str(self._addresses["operator_key"])
            stub = admin_pb2_grpc.AdminServiceStub(as_operator(channel, key))
            while not self._stop.wait(_OPERATOR_SECONDS):
                for address in metrics.values():
                    with urlopen(f"http://{address}/metrics", timeout=10) as answer:
                        answer.read()
                try:
                    stub.ListAccounts(admin_pb2.ListAccountsRequest(), timeout=10)
                    list(stub.ExportAccounts(admin_pb2.ExportAccountsRequest(), timeout=10))
                except grpc.RpcError as error:
                    self.counts[f"admin {error.code().name}"] += 1

    def _send(
        self,
        stub: open_inference_pb2_grpc.GRPCInferenceServiceStub,
        request: oip.ModelInferRequest,
        account: str,
    ) -> None:
        key = (("authorization", f"Bearer key-of-{account}"),)
        try:
            stub.ModelInfer(request, metadata=key, timeout=_DEADLINE_SECONDS)
            self.counts["OK"] += 1
        except grpc.RpcError as error:
            self.counts[error.code().name] += 1


def _typed_request(rows: np.ndarray) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="small")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    return request

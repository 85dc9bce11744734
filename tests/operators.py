"""Operators of the admin API: their file, and channels that carry the key of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import grpc

from queen.serving.ports.operators import operator_digest

ANA = "key-of-ana"
"""Key of an operator who may act."""
DASHBOARD = "key-of-dashboard"
"""Key of an operator who may read."""


def write_operators(folder: Path) -> Path:
    """A file with both operators."""
    file = folder / "operators.yaml"
    file.write_text(
        "operators:\n"
        f"  - {{name: ana, role: act, key_sha256: {operator_digest(ANA)}}}\n"
        f"  - {{name: dashboard, role: read, key_sha256: {operator_digest(DASHBOARD)}}}\n"
    )
    return file


def write_key(folder: Path, key: str = ANA) -> Path:
    """A file with a key, for the command line."""
    file = folder / f"{key}.txt"
    file.write_text(f"{key}\n")
    return file


def bearer(key: str = ANA) -> list[tuple[str, str]]:
    """The metadata of a call by an operator."""
    return [("authorization", f"Bearer {key}")]


def as_operator(channel: grpc.Channel, key: str = ANA) -> grpc.Channel:
    """The channel, with an operator's key in every call."""
    return grpc.intercept_channel(channel, _Keyed(key))


class _Details(NamedTuple):
    """The details of a call, which gRPC reads by name."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Keyed(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc] # generic in the stubs alone
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
):
    """Adds a key to calls of every kind."""

    def __init__(self, key: str) -> None:
        self._metadata = bearer(key)

    def _ask(self, continuation: Any, details: Any, request: Any) -> Any:
        keyed = _Details(
            details.method,
            details.timeout,
            [*(details.metadata or ()), *self._metadata],
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )
        return continuation(keyed, request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = _ask

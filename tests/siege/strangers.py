"""Hostile callers, each a process of its own until it is ended.

    python -m tests.siege.strangers NAME ADDRESS

prints a line once its first act is over.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import repeat

import grpc
from grpc_health.v1 import health_pb2

from queen.api.oip import open_inference_pb2 as oip
from tests.raw_http2 import RawHttp2

INFER = b"/inference.GRPCInferenceService/ModelInfer"
METADATA = b"/inference.GRPCInferenceService/ModelMetadata"
WATCH = b"/grpc.health.v1.Health/Watch"
MIB = 2**20
HOLDER = "mallory"
"""The account of hostile callers that have a key, `key-of-mallory`."""
_BODIES = 48
_IDLE = 1100
_WATCHERS = 64
_NICENESS = 10

Act = Iterator[None]
"""The acts of a stranger, one after the other."""


def gzip_bombs(address: str) -> Act:
    """Messages of 16 KiB that hold 8.4 million empty tensors."""
    return _send(address, INFER, b"\x2a\x00" * 8_400_000, 2, compression=grpc.Compression.Gzip)


def bombs_with_a_key(address: str) -> Act:
    """The same, of a caller with a key."""
    bomb = b"\x2a\x00" * 8_400_000
    return _send(address, INFER, bomb, 2, HOLDER, compression=grpc.Compression.Gzip)


def huge_bodies(address: str) -> Act:
    """48 bodies of 15 MiB at once."""
    body = oip.ModelInferRequest(raw_input_contents=[bytes(15 * MIB)]).SerializeToString()
    return _send(address, INFER, body, _BODIES)


def wide_names(address: str) -> Act:
    """A name of 4.2 million wide letters, which each take twelve once they are escaped."""
    request = oip.ModelMetadataRequest(name="\U0001f451" * 4_200_000)
    return _send(address, METADATA, request.SerializeToString(), 1)


def malformed(address: str) -> Act:
    """Bytes that are no message."""
    return _send(address, METADATA, b"\xff" * 5000, 8)


def wrong_keys(address: str) -> Act:
    """Small calls with a wrong key."""
    return _send(address, INFER, b"", 32)


def idle_connections(address: str) -> Act:
    """1,100 connections that say nothing, and as many again whenever they are closed."""
    host, _, port = address.rpartition(":")
    while True:
        with ExitStack() as stack:
            for _ in range(_IDLE):
                with suppress(OSError):
                    stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            yield
            with RawHttp2(address) as first:
                first.read_to_end()


def watchers(address: str) -> Act:
    """Streams of health whose callers take no bytes."""
    request = health_pb2.HealthCheckRequest().SerializeToString()
    while True:
        with ExitStack() as stack, suppress(OSError, EOFError):
            for _ in range(_WATCHERS):
                raw = stack.enter_context(RawHttp2(address, window=0))
                raw.send(raw.begin(WATCH), request)
            yield
            while True:
                raw.read()


def unread_ids(address: str) -> Act:
    """Request ids of 15 MiB, of a caller with a key who reads no answer."""
    request = oip.ModelInferRequest(model_name="small", id="i" * 15 * MIB).SerializeToString()
    key = (b"authorization", f"Bearer key-of-{HOLDER}".encode())
    while True:
        with suppress(OSError, EOFError), RawHttp2(address, window=0) as raw:
            for _ in range(16):
                raw.send(raw.begin(INFER, key), request)
        yield


STRANGERS: dict[str, Callable[[str], Act]] = {
    act.__name__: act
    for act in (
        *(watchers, gzip_bombs, bombs_with_a_key, huge_bodies, wide_names, malformed),
        *(wrong_keys, idle_connections, unread_ids),
    )
}
KEYLESS = STRANGERS.keys() - {bombs_with_a_key.__name__, unread_ids.__name__}
"""The acts of callers without a key."""


def _send(
    address: str,
    path: bytes,
    body: bytes,
    at_once: int,
    account: str = "nobody",
    compression: grpc.Compression | None = None,
) -> Act:
    """Send a body again and again, some at once."""
    options = [("grpc.max_send_message_length", -1)]
    metadata = (("authorization", f"Bearer key-of-{account}"),)
    with grpc.insecure_channel(address, options) as channel:
        method = channel.unary_unary(path.decode())
        for _ in repeat(None):
            calls = [
                method.future(body, metadata=metadata, compression=compression, timeout=30)
                for _ in range(at_once)
            ]
            for call in calls:
                call.exception()
            yield


def main(name: str, address: str) -> None:
    """Act until ended by a signal."""
    # A stranger's processor is not the server's: here they share one.
    os.nice(_NICENESS)
    for number, _ in enumerate(STRANGERS[name](address)):
        if not number:
            sys.stdout.write("acting\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

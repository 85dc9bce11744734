"""Connections that break HTTP/2, gRPC's framing or HTTP/1.1 on purpose."""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

from tests.fuzz.mutations import mutate_bytes, mutate_text
from tests.fuzz.targets.messages import INFER
from tests.raw_http2 import DATA, HEADERS, RESET, SETTINGS, RawHttp2, frame

_KEY = (b"authorization", b"Bearer key-of-hostile")
_END_STREAM = 1
_READ_SECONDS = 0.05
Break = Callable[[RawHttp2, bytes, Random], None]


def break_framing(address: str, message: bytes, random: Random, rule: Break | None = None) -> None:
    """Open a connection that breaks a rule, by default any; either side closes it."""
    with suppress(OSError, EOFError), RawHttp2(address, random.choice((0, 1, 65_535))) as raw:
        raw.socket.settimeout(_READ_SECONDS)
        (rule or random.choice(BREAKS))(raw, message, random)
        for _ in range(20):
            raw.read()


def break_http(address: str, random: Random) -> None:
    """Ask for the metrics with a broken request, and read what comes."""
    host, _, port = address.rpartition(":")
    request = mutate_text(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n", random)
    with suppress(OSError), socket.create_connection((host, int(port)), 5) as connection:
        connection.settimeout(_READ_SECONDS)
        connection.sendall(request)
        while connection.recv(65_536):
            pass


def _odd_header(raw: RawHttp2, message: bytes, random: Random) -> None:
    header = random.choice(
        (
            *((b"grpc-timeout", b"0n"), (b"grpc-timeout", b"-1S"), (b"grpc-timeout", b"9" * 60)),
            *((b"grpc-encoding", b"gzip"), (b"grpc-encoding", b"zstd"), (b"te", b"")),
            *((b"content-type", b"text/html"), (b"content-length", b"1"), (b":path", b"/x")),
            *(
                (b"x\x00", b"y"),
                (b"X-Upper", b"y"),
                (b"authorization", b"Bearer \xff\xfe"),
                (b"", b""),
            ),
            *(
                (b"grpc-status", b"0"),
                (b"grpc-accept-encoding", b"\x00"),
                (b"x-bin", b"not base64!"),
            ),
        )
    )
    stream = raw.begin(INFER.encode(), _KEY, header)
    raw.send(stream, message)


def _odd_path(raw: RawHttp2, message: bytes, random: Random) -> None:
    path = random.choice(
        (b"", b"/\xff\xfe", b"//", b"/a" * 50, mutate_bytes(INFER.encode(), random))
    )
    raw.send(raw.begin(path[:120], _KEY), message)


def _odd_prefix(raw: RawHttp2, message: bytes, random: Random) -> None:
    """A flag of compression without a compressed message, and a length that is not its length."""
    stream = raw.begin(
        INFER.encode(), _KEY, (b"grpc-encoding", random.choice((b"gzip", b"deflate")))
    )
    length = random.choice((len(message), 0, 1, len(message) + 1, 2**31, 2**32 - 1))
    prefix = struct.pack(">BI", random.randrange(256), length)
    raw.socket.sendall(frame(DATA, _END_STREAM, stream, (prefix + message)[:16_384]))


def _bomb(raw: RawHttp2, message: bytes, random: Random) -> None:
    """A gzip stream that is cut or damaged."""
    packed = zlib.compress(message * 200, wbits=31)
    damaged = mutate_bytes(packed, random)
    stream = raw.begin(INFER.encode(), _KEY, (b"grpc-encoding", b"gzip"))
    data = struct.pack(">BI", 1, len(damaged)) + damaged
    raw.socket.sendall(frame(DATA, _END_STREAM, stream, data[:16_384]))


def _odd_frames(raw: RawHttp2, message: bytes, random: Random) -> None:
    stream = raw.begin(INFER.encode(), _KEY)
    for _ in range(random.randrange(1, 40)):
        kind = random.choice((DATA, HEADERS, RESET, SETTINGS, random.randrange(256)))
        on = random.choice((0, stream, stream + 2, 2**31 - 1))
        payload = random.randbytes(random.choice((0, 4, 5, 6, 8, 100)))
        raw.socket.sendall(frame(kind, random.randrange(256), on, payload))
    raw.send(stream, message)


def _many_resets(raw: RawHttp2, message: bytes, random: Random) -> None:
    """Calls that are given up as soon as they have begun."""
    for _ in range(random.randrange(1, 200)):
        stream = raw.begin(INFER.encode(), _KEY)
        raw.send(stream, message)
        raw.socket.sendall(frame(RESET, 0, stream, struct.pack(">I", 8)))


BREAKS: Sequence[Break] = (
    *(_odd_header, _odd_header, _odd_path, _odd_prefix, _odd_prefix, _bomb, _odd_frames),
    _many_resets,
)

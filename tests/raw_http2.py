"""A gRPC client that keeps no rule: frames by hand, its own windows, bodies without an end."""

from __future__ import annotations

import socket
import struct
from typing import Self

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
_INITIAL_WINDOW = 4
_STATIC_FIELD = b"\x91"
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1


class RawHttp2:
    """A connection; `window` is how many bytes of an answer the server may send on a stream."""

    def __init__(self, address: str, window: int = 65_535) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        settings = struct.pack(">HI", _INITIAL_WINDOW, window)
        self.socket.sendall(_PREFACE + frame(SETTINGS, 0, 0, settings))
        self._next_stream = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def begin(self, path: bytes, *headers: tuple[bytes, bytes], references: int = 0) -> int:
        """Send the headers of a call, and return its stream.

        `references` more fields take one byte each: they lie in HPACK's static table.
        """
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", b"door"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *headers,
        ]
        block = b"".join(_literal(name, value) for name, value in fields)
        block += _STATIC_FIELD * references
        self.socket.sendall(frame(HEADERS, _END_HEADERS, stream, block))
        return stream

    def send(self, stream: int, message: bytes, *, length: int | None = None) -> None:
        """Send a message; one whose prefix promises `length` bytes never ends."""
        data = struct.pack(">BI", 0, len(message) if length is None else length) + message
        flags = _END_STREAM if length is None else 0
        for start in range(0, len(data), 16_384):
            part = data[start : start + 16_384]
            is_last = start + 16_384 >= len(data)
            self.socket.sendall(frame(DATA, flags if is_last else 0, stream, part))

    def read(self) -> tuple[int, int, bytes]:
        """The next frame: its kind, its stream and its payload; settings are acknowledged."""
        head = self._exactly(9)
        payload = self._exactly(int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
        if kind in {SETTINGS, PING} and not flags & _ACK:
            self.socket.sendall(frame(kind, _ACK, 0, payload if kind == PING else b""))
        return kind, stream, payload

    def read_until(self, kind: int, stream: int) -> bytes:
        """The payload of the next frame of that kind on a stream."""
        while True:
            found_kind, found_stream, payload = self.read()
            if (found_kind, found_stream) == (kind, stream):
                return payload

    def read_to_end(self) -> None:
        """Read until the server closes the connection."""
        while True:
            try:
                self.read()
            except (EOFError, ConnectionError):
                return

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field without compression; both parts are shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

"""From a target that an operator wrote to the endpoints behind it."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket as sockets
from dataclasses import dataclass

from queen.errors import ConfigError

_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/,]+):(?P<port>\d{1,5})")
_NAME = re.compile(r"dns:(?:///)?" + _HOST_PORT.pattern)
_SCHEME_OF_LIST = re.compile(r"^ipv[46]:(///)?")
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
"""Schemes of gRPC, which resolves such a target itself: the front door sees one endpoint."""
_BALANCED = ("dns:", "xds:")
_SOCKET = re.compile(r"unix:(?://)?(?P<path>/[^\s,]+)")


@dataclass(frozen=True)
class TargetPart:
    """A host, by address or by name, and a port; or a whole target that gRPC itself resolves."""

    text: str
    host: str | None = None
    port: int = 0

    @property
    def is_name(self) -> bool:
        """Whether the host is a name, whose endpoints can change."""
        return self.host is not None and _address(self.host) is None

    @property
    def is_balanced(self) -> bool:
        """Whether gRPC itself may find several endpoints behind it, and choose among them."""
        return self.host is None and self.text.startswith(_BALANCED)

    async def resolve(self) -> list[str]:
        """Endpoints, as HOST:PORT with an address for the host; OSError for an unknown name.

        A name is looked up in a thread, with the system's own resolver.
        """
        if self.host is None:
            return [self.text]
        if not self.is_name:
            return [_joined(self.host, self.port)]
        loop = asyncio.get_running_loop()
        known = await loop.getaddrinfo(self.host, self.port, type=sockets.SOCK_STREAM)
        return sorted({_joined(str(address[0]), self.port) for *_, address in known})


def require_stated(target: str) -> str:
    """`target` without the space around it; ConfigError if nothing is left."""
    if not target.strip():
        raise ConfigError("expected a gRPC target such as 127.0.0.1:8101, got an empty one")
    return target.strip()


def read_target(target: str) -> tuple[TargetPart, ...]:
    """The parts of a target; ConfigError for a text that is no target.

    A target is `HOST:PORT` or `unix:/PATH`, several of them between commas (also behind `ipv4:`),
    `dns:///HOST:PORT`, or any other target of gRPC that begins with its scheme. A name stands for
    all addresses that it resolves to, a Unix socket for one replica.
    """
    target = require_stated(target)
    if "," not in target:
        return (_lone(target),)
    # gRPC would choose among such addresses by itself, unseen by us.
    target = _SCHEME_OF_LIST.sub("", target)
    entries = [entry.strip() for entry in target.split(",")]
    if "" in entries:
        raise ConfigError("expected HOST:PORT or unix:/PATH between commas, got an empty entry")
    parts = tuple(_listed(entry) for entry in entries)
    pairs = [(part.host or part.text, part.port) for part in parts]
    twice = [part.text for part, pair in zip(parts, pairs, strict=True) if pairs.count(pair) > 1]
    if twice:
        raise ConfigError(f"expected each endpoint once, got {twice[-1]} again")
    return parts


def _lone(text: str) -> TargetPart:
    match = _HOST_PORT.fullmatch(text) or _NAME.fullmatch(text)
    if match is not None:
        return _of(text, match)
    if socket := _SOCKET.fullmatch(text):
        return _at(socket)
    if text.startswith(_SCHEMES):
        return TargetPart(text)
    raise ConfigError(f"expected HOST:PORT or a gRPC target such as dns:///HOST:PORT, got {text}")


def _listed(entry: str) -> TargetPart:
    if socket := _SOCKET.fullmatch(entry):
        return _at(socket)
    match = _HOST_PORT.fullmatch(entry)
    if match is None or entry.startswith(_SCHEMES):
        raise ConfigError(
            f"expected HOST:PORT or unix:/PATH for each entry of a list, got {entry}; a target "
            "with another scheme stands alone"
        )
    return _of(entry, match)


def _at(match: re.Match[str]) -> TargetPart:
    """A Unix socket, spelled alike by all front doors."""
    return TargetPart(f"unix:{match['path']}")


def _of(text: str, match: re.Match[str]) -> TargetPart:
    host, port = match["host"].strip("[]"), int(match["port"])
    if not 0 < port < 65536:
        raise ConfigError(f"expected a port from 1 to 65535, got {port}")
    address = _address(host)
    if "[" in match["host"] and address is None:
        raise ConfigError(f"expected an IPv6 address in brackets, got {host}")
    return TargetPart(text, address or host, port)


def _address(host: str) -> str | None:
    """An address in its usual form, so that all front doors spell it alike; None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

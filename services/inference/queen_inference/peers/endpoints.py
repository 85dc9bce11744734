"""From a target that an operator wrote to the endpoints behind it."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass

from queen.errors import ConfigError

_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/,]+):(?P<port>\d{1,5})")
_NAME = re.compile(r"dns:(?:///)?" + _HOST_PORT.pattern)
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
"""Of gRPC: such a target is its own affair, and one endpoint to us."""


@dataclass(frozen=True)
class Place:
    """A part of a target: a host, by address or by name, and a port; or a whole gRPC target."""

    text: str
    host: str | None = None
    port: int = 0

    @property
    def is_name(self) -> bool:
        """Whether its endpoints can change."""
        return self.host is not None and _address(self.host) is None

    async def resolve(self) -> list[str]:
        """Endpoints, as HOST:PORT with an address for the host; OSError if the name has none.

        A name is looked up in a thread, with the system's own resolver.
        """
        if self.host is None:
            return [self.text]
        if not self.is_name:
            return [_joined(self.host, self.port)]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return sorted({_joined(str(address[0]), self.port) for *_, address in found})


def read_target(target: str) -> tuple[Place, ...]:
    """The parts of a target; ConfigError for one that is none.

    `HOST:PORT`, several of them between commas, `dns:///HOST:PORT`, or any other target of
    gRPC that begins with its scheme. A name stands for each address that it resolves to.
    """
    if not target.strip():
        raise ConfigError("expected a gRPC target such as 127.0.0.1:8101, got an empty one")
    if "," not in target:
        return (_place(target.strip()),)
    entries = [entry.strip() for entry in target.split(",")]
    if "" in entries:
        raise ConfigError("expected HOST:PORT between commas, got an empty entry")
    places = tuple(_listed(entry) for entry in entries)
    pairs = [(place.host, place.port) for place in places]
    twice = [place.text for place, pair in zip(places, pairs, strict=True) if pairs.count(pair) > 1]
    if twice:
        raise ConfigError(f"expected each HOST:PORT once, got {twice[-1]} again")
    return places


def _place(text: str) -> Place:
    found = _HOST_PORT.fullmatch(text) or _NAME.fullmatch(text)
    if found is not None:
        return _of(text, found)
    if text.startswith(_SCHEMES):
        return Place(text)
    raise ConfigError(f"expected HOST:PORT or a gRPC target such as dns:///HOST:PORT, got {text}")


def _listed(entry: str) -> Place:
    found = _HOST_PORT.fullmatch(entry)
    if found is None or entry.startswith(_SCHEMES):
        raise ConfigError(
            f"expected HOST:PORT for each entry of a list, got {entry}; a target with a scheme "
            "stands alone"
        )
    return _of(entry, found)


def _of(text: str, found: re.Match[str]) -> Place:
    host, port = found["host"].strip("[]"), int(found["port"])
    if not 0 < port < 65536:
        raise ConfigError(f"expected a port from 1 to 65535, got {port}")
    address = _address(host)
    if "[" in found["host"] and address is None:
        raise ConfigError(f"expected an IPv6 address in brackets, got {host}")
    return Place(text, address or host, port)


def _address(host: str) -> str | None:
    """An address in its usual form, so that all front doors call it alike; None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

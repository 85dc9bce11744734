"""The meaning of a target, and the addresses that it resolves to."""

from __future__ import annotations

import socket

import pytest
from queen_inference.peers.endpoints import read_target

from queen.errors import ConfigError

UNRESOLVABLE = "queen-sensitivity.invalid:8101"
"""A name under a top-level domain that never has any."""


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:8101", ["127.0.0.1:8101"]),
        ("[::1]:8101", ["[::1]:8101"]),
        ("[0:0::1]:8101, 10.0.0.2:8101", ["[::1]:8101", "10.0.0.2:8101"]),
        ("dns:///10.0.0.1:8101", ["10.0.0.1:8101"]),
        ("unix:/run/sensitivity.sock", ["unix:/run/sensitivity.sock"]),
        ("ipv4:10.0.0.1:8101", ["ipv4:10.0.0.1:8101"]),
        ("ipv4:10.0.0.1:8101,10.0.0.2:8101", ["10.0.0.1:8101", "10.0.0.2:8101"]),
        ("ipv6:[::1]:8101,[::2]:8101", ["[::1]:8101", "[::2]:8101"]),
    ],
)
async def test_addresses_are_their_own_endpoints(target: str, expected: list[str]) -> None:
    """No look-up, nothing that could change later, and one form for one address."""
    parts = read_target(target)
    assert not any(part.is_name for part in parts)
    assert [endpoint for part in parts for endpoint in await part.resolve()] == expected


@pytest.mark.parametrize("form", ["localhost:8101", "dns:///localhost:8101", "dns:localhost:8101"])
async def test_a_name_is_all_its_addresses(form: str) -> None:
    """Each once, in an order that does not change, as the system resolves it."""
    (part,) = read_target(form)
    assert part.is_name
    endpoints = await part.resolve()
    known = {address[0] for *_, address in socket.getaddrinfo("localhost", 8101)}
    assert endpoints == sorted(f"[{one}]:8101" if ":" in one else f"{one}:8101" for one in known)


async def test_a_name_without_an_address_is_an_error_of_the_system() -> None:
    """So that the caller can keep what it had."""
    (part,) = read_target(UNRESOLVABLE)
    with pytest.raises(OSError, match=r".+"):
        await part.resolve()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (" ", "got an empty one"),
        ("10.0.0.1:8101,,10.0.0.2:8101", "between commas, got an empty entry"),
        ("10.0.0.1:8101,", "between commas, got an empty entry"),
        ("a:8101,b:8101, a:8101", "each endpoint once, got a:8101 again"),
        ("[::1]:8101,[0::1]:8101", "each endpoint once, got [0::1]:8101 again"),
        (
            "10.0.0.1:8101,dns:///a:8101",
            "got dns:///a:8101; a target with another",
        ),
        ("xds:10.0.0.1:8101,10.0.0.2:8101", "got xds:10.0.0.1:8101; a target with another"),
        ("10.0.0.1", "expected HOST:PORT or a gRPC target such as dns:///HOST:PORT, got 10.0.0.1"),
        ("http://a:8101", "expected HOST:PORT or a gRPC target"),
        ("a:0", "expected a port from 1 to 65535, got 0"),
        ("a:65536", "expected a port from 1 to 65535, got 65536"),
        ("[1:2]:8101", "expected an IPv6 address in brackets, got 1:2"),
    ],
)
def test_what_is_no_target_is_a_sentence(target: str, words: str) -> None:
    """It says what was expected and what stood there."""
    with pytest.raises(ConfigError) as raised:
        read_target(target)
    assert words in str(raised.value)


async def test_sockets_are_replicas_like_others() -> None:
    """A list may hold Unix sockets, which all front doors spell alike; each is one endpoint."""
    parts = read_target("unix:///run/queen/a.sock, unix:/run/queen/b.sock,10.0.0.1:8101")
    assert [await part.resolve() for part in parts] == [
        ["unix:/run/queen/a.sock"],
        ["unix:/run/queen/b.sock"],
        ["10.0.0.1:8101"],
    ]
    with pytest.raises(ConfigError, match="each endpoint once, got unix:/run/a again"):
        read_target("unix:/run/a,unix:///run/a")
    with pytest.raises(ConfigError, match="got unix:relative; a target with another"):
        read_target("unix:relative,10.0.0.1:8101")

"""The proxy of `make chaos` does what it is told to connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.proxy import HALF_OPEN, FaultProxy, Faults, ProxyLoop


@contextmanager
def echo_server(prefix: bytes = b"") -> Iterator[int]:
    """A port that sends back what it gets, behind `prefix`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(line,), daemon=True).start()

    def answer(line: socket.socket) -> None:
        with line:
            try:
                while piece := line.recv(65_536):
                    line.sendall(prefix + piece)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy in front of an echo."""
    with ProxyLoop() as loop, echo_server() as port:
        made = FaultProxy(loop, port)
        yield made
        made.close()


def dial(proxy: FaultProxy, timeout: float = 5.0) -> socket.socket:
    """A connection to the proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def read_to_the_end(line: socket.socket) -> None:
    """Read until the other side ends the connection in order."""
    while line.recv(65_536):
        pass


def test_without_a_fault_bytes_pass_unchanged(proxy: FaultProxy) -> None:
    """A megabyte comes back as it was sent."""
    sent = bytes(range(256)) * 4096
    with dial(proxy) as line:
        threading.Thread(target=line.sendall, args=(sent,), daemon=True).start()
        got = b""
        while len(got) < len(sent):
            got += line.recv(65_536)
    assert got == sent


def test_a_delay_is_that_of_each_direction(proxy: FaultProxy) -> None:
    """A round trip is twice as long, and not less."""
    proxy.set(Faults(delay_seconds=0.1))
    with dial(proxy) as line:
        started = time.monotonic()
        line.sendall(b"x")
        assert line.recv(1) == b"x"
        assert time.monotonic() - started >= 0.2


def test_a_half_open_connection_is_silent_until_it_heals(proxy: FaultProxy) -> None:
    """It is accepted, nothing comes, and then everything does."""
    proxy.set(HALF_OPEN)
    with dial(proxy, timeout=0.3) as line:
        line.sendall(b"late")
        with pytest.raises(TimeoutError):
            line.recv(4)
        proxy.clear()
        line.settimeout(5)
        assert line.recv(4) == b"late"


def test_held_answers_let_requests_through() -> None:
    """The request arrives; its answer does not."""
    with ProxyLoop() as loop, socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultProxy(loop, listener.getsockname()[1])
        proxy.set(Faults(hold_answers=True))
        with dial(proxy, timeout=0.3) as line:
            line.sendall(b"asked")
            served, _ = listener.accept()
            with served:
                assert served.recv(5) == b"asked"
                served.sendall(b"answered")
                with pytest.raises(TimeoutError):
                    line.recv(8)
        proxy.close()


def test_a_reset_ends_the_connection(proxy: FaultProxy) -> None:
    """With RST, not with an orderly end; and it is counted."""
    proxy.set(Faults(reset_chance=1.0))
    with dial(proxy) as line:
        line.sendall(b"y" * 1000)
        with pytest.raises(ConnectionResetError):
            read_to_the_end(line)
    assert proxy.resets >= 1


def test_refused_connections_are_taken_again_on_the_same_port(proxy: FaultProxy) -> None:
    """Open ones are reset too."""
    with dial(proxy) as line:
        line.sendall(b"1")
        assert line.recv(1) == b"1"
        proxy.set(Faults(refuse=True))
        with pytest.raises(OSError, match=r"refused|reset"):
            dial(proxy)
    proxy.clear()
    with dial(proxy) as line:
        line.sendall(b"2")
        assert line.recv(1) == b"2"


def test_another_upstream_takes_new_connections(proxy: FaultProxy) -> None:
    """The old ones are reset."""
    with echo_server(b"new ") as port, dial(proxy) as old:
        old.sendall(b"1")
        assert old.recv(1) == b"1"
        proxy.point_at(port)
        with pytest.raises(ConnectionResetError):
            old.recv(1)
        with dial(proxy) as line:
            line.sendall(b"2")
            assert line.recv(5) == b"new 2"

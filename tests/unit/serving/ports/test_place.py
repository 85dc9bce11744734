"""Places to listen on, before anything is started."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import grpc
import pytest

from queen.errors import ConfigError
from queen.serving.ports.place import Place, is_loopback, require_free, require_free_socket


def test_a_free_port_stays_free() -> None:
    """The check holds nothing, and port 0 is always free."""
    require_free("127.0.0.1", 0, "--port")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    require_free("127.0.0.1", port, "--port")
    require_free("127.0.0.1", port, "--port")


def test_a_port_in_use_and_an_unknown_host_are_named() -> None:
    """With the flag to change and the system's reason."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}: address already in use"):
            require_free("127.0.0.1", port, "--port")
        with pytest.raises(ConfigError, match="choose another --host or --admin-port"):
            require_free("127.0.0.1", port, "--admin-port")
    with pytest.raises(ConfigError, match=r"cannot listen on no\.such\.invalid:1"):
        require_free("no.such.invalid", 1, "--port")


def test_a_socket_in_use_is_not_stolen(tmp_path: Path) -> None:
    """gRPC would remove the socket under the other process; a socket left behind is no obstacle."""
    path = tmp_path / "service.sock"
    require_free_socket(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        with pytest.raises(ConfigError, match=r"service\.sock: another process listens there"):
            require_free_socket(path)
    assert path.is_socket()
    require_free_socket(path)


def test_paths_that_cannot_be_a_socket_are_named(tmp_path: Path) -> None:
    """A file, a missing folder, and a path that is longer than the system's longest."""
    file = tmp_path / "ledger"
    file.write_text("records")
    with pytest.raises(ConfigError, match="ledger: expected a free name or a socket"):
        require_free_socket(file)
    assert file.read_text() == "records"
    with pytest.raises(ConfigError, match="its folder is missing"):
        require_free_socket(tmp_path / "none" / "service.sock")
    with pytest.raises(ConfigError, match="expected a path of at most 107 bytes, got"):
        require_free_socket(tmp_path / ("a" * 107))


def test_a_socket_belongs_to_its_user(tmp_path: Path) -> None:
    """Others on the machine cannot connect, whatever the mode of the folder."""
    path = tmp_path / "service.sock"

    async def scenario() -> tuple[str, int]:
        server = grpc.aio.server()
        target = Place("127.0.0.1", 0, "--port", path).bind(server, None)
        await server.start()
        mode = path.stat().st_mode
        await server.stop(None)
        return target, stat.S_IMODE(mode)

    assert asyncio.run(scenario()) == (f"unix:{path}", 0o600)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("192.0.2.1", False), ("box", False)],
)
def test_loopback_addresses(host: str, is_local: bool) -> None:
    """Only addresses of this machine alone are loopback."""
    assert is_loopback(host) is is_local

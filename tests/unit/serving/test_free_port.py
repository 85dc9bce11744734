"""Ports, before anything is started."""

from __future__ import annotations

import socket

import pytest

from queen.errors import ConfigError
from queen.serving.free_port import require_free


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

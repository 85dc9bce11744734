"""`queen up` as a process of a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
QUEEN = [sys.executable, "-m", "queen.cli"]
PUBLISHED = ("--profile", "paper", "--breadth", "1")
"""Flags of the published method, under which every account is answered and soon reversed."""


def environment() -> dict[str, str]:
    """The environment of the processes: this checkout, one thread each."""
    folders = [ROOT, *sorted((ROOT / "services").iterdir())]
    path = os.pathsep.join(map(str, folders))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run_queen(*argv: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [*QUEEN, *map(str, argv)]
    return subprocess.run(
        command, env=environment(), cwd=cwd, capture_output=True, text=True, timeout=90, check=False
    )


class Up:
    """A `queen up` that has printed its ready line."""

    def __init__(self, bundle: Path, state: Path, *flags: str, port: int = 0) -> None:
        self.state = state
        command = [*QUEEN, "up", "--bundle", str(bundle), "--state", str(state)]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), *flags],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().strip()

    @property
    def addresses(self) -> dict[str, Any]:
        """The content of up.json."""
        content: dict[str, Any] = json.loads((self.state / "up.json").read_text())
        return content

    @property
    def services(self) -> list[int]:
        """Process ids of the three services."""
        pids = self.addresses["pids"]
        return [pids[name] for name in ("inference", "sensitivity", "perturber")]

    @property
    def key(self) -> str:
        """Key of the account `local`."""
        return (self.state / "local.key").read_text().strip()

    @property
    def operator_key(self) -> str:
        """Key of the operator `local`."""
        return (self.state / "operator.key").read_text().strip()

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the front door's metrics."""
        url = f"http://{self.addresses['metrics']['inference']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"no {name} {labels}")

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Stop it; its exit code and its stderr."""
        if self.process.poll() is None:
            self.process.send_signal(kind)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


def gone(pids: list[int]) -> bool:
    """Whether none of the processes exists (a zombie is gone)."""
    return not any(
        psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        for pid in pids
    )

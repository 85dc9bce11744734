"""Starts one leaf service as a real process on free ports, and stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import grpc
from google.rpc import error_details_pb2, status_pb2


@dataclass
class LeafProcess:
    """A running service: `addresses` are those of its ready file."""

    popen: subprocess.Popen[str]
    addresses: dict[str, str]
    log: Path

    def metrics(self) -> str:
        """The text of /metrics."""
        with urlopen(f"http://{self.addresses['metrics']}/metrics") as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.popen.kill()
        assert self.popen.wait() == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM, and wait for the exit code."""
        self.popen.terminate()
        return self.popen.wait(timeout=20)


@contextmanager
def leaf_process(service: str, folder: Path, **settings: object) -> Iterator[LeafProcess]:
    """`python -m queen_SERVICE` with `settings` as flags; killed at the end if it still runs."""
    ready, log = folder / f"{service}.ready", folder / f"{service}.log"
    ready.unlink(missing_ok=True)
    flags = {"port": 0, "metrics-port": 0, "ready-file": ready, **settings}
    with log.open("a") as stream:
        popen = subprocess.Popen(
            command(service, **flags), stderr=stream, text=True, env=clean_env()
        )
    try:
        yield LeafProcess(popen, _await_ready(popen, ready, log), log)
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.wait()


def run_refused(service: str, **settings: object) -> str:
    """What a process that must refuse to start says; its exit code has to be 2."""
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


def violated_field(error: grpc.RpcError) -> str:
    """The request field that a refusal blames."""
    return _violation(error).field_violations[0].field


def reason_of(error: grpc.RpcError) -> str:
    """The stable reason of a refusal."""
    info = error_details_pb2.ErrorInfo()
    for detail in _status(error).details:
        if detail.Unpack(info):
            return info.reason
    raise AssertionError("no ErrorInfo")


def _violation(error: grpc.RpcError) -> error_details_pb2.BadRequest:
    found = error_details_pb2.BadRequest()
    for detail in _status(error).details:
        if detail.Unpack(found):
            return found
    raise AssertionError("no BadRequest")


def _status(error: grpc.RpcError) -> status_pb2.Status:
    trailing = dict(error.trailing_metadata())
    return status_pb2.Status.FromString(trailing["grpc-status-details-bin"])


def _await_ready(popen: subprocess.Popen[str], ready: Path, log: Path) -> dict[str, str]:
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert popen.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return dict(json.loads(ready.read_text()))

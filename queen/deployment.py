"""A deployment of the three services as a context manager around `queen up`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from queen.errors import ConfigError, DependencyUnavailable
from queen.serving.lasting.parent import ends_with_parent


class Deployment:
    """Runs `queen up` with these flags from entry to exit.

    Flags are keyword arguments, `failure_mode="deny"` for `--failure-mode deny`; None is
    left out. The port is free unless given. With `ledgers`, the URL of a Redis, `state` is
    the folder of everything else, and `replicas=3` may be given. `environment` holds variables
    besides those of this process. It ends with this process, too, however that ends. Raises
    DependencyUnavailable, in the words of `queen up`, if it does not start.
    """

    def __init__(
        self,
        *,
        bundle: Path,
        state: Path,
        ledgers: str | None = None,
        environment: Mapping[str, str] | None = None,
        **flags: object,
    ) -> None:
        folder = Path(state).absolute()
        # With a URL for --state, `queen up` keeps the rest in a folder of its working directory.
        self.state = folder / ".queen" if ledgers else folder
        self._folder = folder if ledgers else None
        given = {"bundle": bundle, "state": ledgers or folder, "port": 0, "metrics_port": 0}
        self._command = [sys.executable, "-m", "queen.cli", "up"]
        for name, value in {**given, **flags}.items():
            if value is not None:
                text = str(value.absolute() if isinstance(value, Path) else value)
                self._command += [f"--{name.replace('_', '-')}", text]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self.endpoint = ""

    def __enter__(self) -> Deployment:
        """Start, and wait for the ready line."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.state / "up.log").open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self._folder,
                env=self._environment,
                preexec_fn=ends_with_parent(),  # noqa: PLW1509 - it only makes two system calls
            )
        line = _pipe(self._process).readline().strip()
        if not line.startswith("ready "):
            self._process.wait()
            raise DependencyUnavailable((self.state / "up.log").read_text().strip())
        self.endpoint = line.removeprefix("ready ")
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop as an operator would, with SIGTERM."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=60)
            _pipe(self._process).close()

    @property
    def metrics(self) -> Mapping[str, str]:
        """Address of each process's /metrics."""
        addresses: dict[str, str] = self._published()["metrics"]
        return addresses

    @property
    def key(self) -> str:
        """Key of the account `local`, which `queen up` makes if it gets no accounts file."""
        return (self.state / "local.key").read_text().strip()

    def pid(self, name: str) -> int:
        """Current process id of a service; a restart changes it.

        Replicas have names of their own, `sensitivity-1` for instance. Raises ConfigError for
        a name that no process has.
        """
        pids = self._published()["pids"]
        if name not in pids:
            raise ConfigError(f"expected one of {', '.join(pids)}, got '{name}'")
        return int(pids[name])

    def _published(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.state / "up.json").read_text())
        return content


def _pipe(process: subprocess.Popen[str]) -> IO[str]:
    if process.stdout is None:
        raise DependencyUnavailable("queen up has no output to read")
    return process.stdout

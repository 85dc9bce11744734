"""`make soak`: `queen up` over Redis and over SQLite, under a steady load, for long.

State is saturated, so memory, descriptors and threads of every process have to stay flat.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import psutil

from tests.bundles import SmallBundle, Widths, make_bundle
from tests.chaos.soak.load import SoakLoad, write_soak_accounts
from tests.chaos.soak.measures import Finding, Series, judge, plot
from tests.e2e.running_up import QUEEN, environment
from tests.redis_servers import redis_server

WARM_UP_SHARE = 0.25
_SAMPLE_SECONDS = 1.0
_PROGRESS_SECONDS = 30.0


@click.command()
@click.option("--seconds", default=600.0, show_default=True, help="How long to serve.")
@click.option("--out", default=Path("build/soak"), type=click.Path(path_type=Path))
def main(seconds: float, out: Path) -> None:
    """Serve, sample, judge; exit code 1 if something grew."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        soak = Soak(Path(folder), stack)
        soak.run(seconds)
    findings = soak.findings(WARM_UP_SHARE * seconds)
    plot(out / "soak.png", list(soak.series.values()), WARM_UP_SHARE * seconds)
    problems = [problem for finding in findings for problem in finding.problems]
    problems += [f"requests ended with {soak.unexpected}"] * bool(soak.unexpected)
    report = {
        "seconds": seconds,
        "warm_up_seconds": WARM_UP_SHARE * seconds,
        "requests": {name: dict(load.counts) for name, load in soak.loads.items()},
        "processes": [finding.as_dict() for finding in findings],
        "problems": problems,
    }
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    for finding in findings:
        click.echo(f"soak: {finding.line()}")
    click.echo(f"soak: {report['requests']}, written to {out}")
    for problem in problems:
        click.echo(f"soak: {problem}", err=True)
    sys.exit(1 if problems else 0)


class Soak:
    """Two deployments with their loads, and a series of samples for each process."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.series: dict[str, Series] = {}
        self.loads: dict[str, SoakLoad] = {}
        self._processes: dict[str, psutil.Process] = {}
        self._warm_requests: dict[str, int] = {}
        small = make_bundle(folder / "bundle", widths=Widths(embeddings=3), coverage_fraction=0.05)
        server = stack.enter_context(redis_server(folder / "server"))
        self._follow("redis/redis-server", server.pid)
        for name, state in (("redis", server.url), ("sqlite", None)):
            addresses = stack.enter_context(_up(small, folder / name, state))
            self.loads[name] = SoakLoad(small, addresses)
            pids = addresses["pids"]
            assert isinstance(pids, dict)
            for service, pid in pids.items():
                self._follow(f"{name}/{service}", pid)

    @property
    def unexpected(self) -> list[str]:
        """Endings of requests other than the expected ones."""
        return sorted({kind for load in self.loads.values() for kind in load.unexpected})

    def run(self, seconds: float) -> None:
        """Put both under load for so long, and sample every process once a second."""
        started = time.monotonic()
        progress = _PROGRESS_SECONDS
        for load in self.loads.values():
            load.start()
        while (elapsed := time.monotonic() - started) < seconds:
            for name, process in self._processes.items():
                self.series[name].sample(process, elapsed)
            if elapsed >= WARM_UP_SHARE * seconds and not self._warm_requests:
                self._warm_requests = {name: load.requests for name, load in self.loads.items()}
            if elapsed > progress:
                progress += _PROGRESS_SECONDS
                sent = {name: load.requests for name, load in self.loads.items()}
                click.echo(f"soak: {elapsed:.0f} of {seconds:.0f} s, requests {sent}")
            time.sleep(_SAMPLE_SECONDS)
        for load in self.loads.values():
            load.stop()

    def findings(self, warm_up_seconds: float) -> list[Finding]:
        """The judgement of every process."""
        return [
            judge(series, warm_up_seconds, self._measured_requests(name.partition("/")[0]))
            for name, series in self.series.items()
        ]

    def _measured_requests(self, deployment: str) -> int:
        return self.loads[deployment].requests - self._warm_requests.get(deployment, 0)

    def _follow(self, name: str, pid: int) -> None:
        self._processes[name] = psutil.Process(pid)
        self.series[name] = Series(name)


@contextmanager
def _up(small: SmallBundle, folder: Path, state: str | None) -> Iterator[dict[str, object]]:
    """`queen up`, with two replicas where they can share a store: up.json, with the key."""
    folder.mkdir()
    accounts = write_soak_accounts(folder)
    words = ["up", "--bundle", str(small.path), "--accounts", str(accounts), "--port", "0"]
    words += ["--state", state, "--replicas", "2"] if state else []
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(
            [*QUEEN, *words],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready "), (folder / "up.log").read_text()
        state_folder = folder / ".queen"
        key = (state_folder / "operator.key").read_text().strip()
        yield {**json.loads((state_folder / "up.json").read_text()), "operator_key": key}
    finally:
        process.terminate()
        process.wait(timeout=60)


if __name__ == "__main__":
    main()

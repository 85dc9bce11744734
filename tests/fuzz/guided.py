"""Attempts that coverage guides: atheris, the libFuzzer of Python, chooses what to mutate.

It runs in a process of its own, since it ends the process. The first byte of an input says for
which target it is, so that one corpus serves all of them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from os import _exit as end_process
from pathlib import Path
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from tests.fuzz.problems import Problem, write_finding

if TYPE_CHECKING:
    from tests.fuzz.session import Session

ROOT = Path(__file__).parents[2]
LARGEST_INPUT = 16 * 1024
PROGRESS_SECONDS = 10.0
INSTRUMENTED = ["queen", "queen_inference", "queen_sensitivity", "queen_perturber"]
_REPORTED_EVERY = 1000
_OWN_MUTATIONS = 0.7
_KINDS = ("crash", "timeout", "oom", "leak", "slow-unit")


def run_guided(seconds: float, messages: int, seed: int, folder: Path, out: Path) -> Path:
    """Fuzz for so long, or for so many messages, in another process; the file of its report.

    Problems are written to `out`, those that end the process as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "guided.json"
    words = ["--seconds", str(seconds), "--messages", str(messages), "--seed", str(seed)]
    words += ["--folder", str(folder), "--out", str(out)]
    with (folder / "guided.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.guided", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PROGRESS_SECONDS)
            if report.exists():
                attempts = json.loads(report.read_text())["attempts"]
                click.echo(f"fuzz: guided: {attempts:,} messages")
    names = (folder / "targets").read_text().split() if (folder / "targets").exists() else []
    artifacts = [path for kind in _KINDS for path in folder.glob(f"{kind}-*")]
    for path in artifacts:
        data = path.read_bytes()
        if data and names:
            write_finding(out, names[data[0] % len(names)], Problem(path.name[:-30]), data[1:])
    if process.returncode and not artifacts:
        tail = (folder / "guided.log").read_text()[-2000:]
        raise RuntimeError(f"the guided fuzzer ended with {process.returncode}: {tail}")
    return report


@click.command()
@click.option("--seconds", type=float, required=True)
@click.option("--messages", type=int, required=True)
@click.option("--seed", type=int, required=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(seconds: float, messages: int, seed: int, folder: Path, out: Path) -> None:
    """Run until the time is up, and end the process."""
    import atheris  # noqa: PLC0415 - only this process needs it

    with atheris.instrument_imports(include=INSTRUMENTED):
        # Here, so that the services are instrumented.
        from queen.serving.logging import configure_logging  # noqa: PLC0415
        from tests.fuzz.session import Session, bound_memory  # noqa: PLC0415
        from tests.unit.perturber.flagged import small_bundle  # noqa: PLC0415
    configure_logging("fuzz", "error")
    bound_memory()
    runner = asyncio.Runner()
    session = Session(small_bundle(folder), folder, out)
    runner.run(session.open())
    names = list(session.targets)
    (folder / "targets").write_text("\n".join(names))
    ends = monotonic() + seconds

    run = runner.get_loop().run_until_complete

    def attempt(data: bytes) -> None:
        if data:
            run(session.attempt(names[data[0] % len(names)], data[1:]))
        is_over = monotonic() > ends or session.attempts >= messages
        if is_over or session.attempts % _REPORTED_EVERY == 0:
            session.write_report(folder / "guided.json")
        if is_over:
            # libFuzzer never returns.
            end_process(0)

    with tempfile.TemporaryDirectory(dir=folder) as corpus:
        _write_corpus(session, names, Path(corpus))
        options = [f"-seed={seed}", f"-max_len={LARGEST_INPUT}", "-timeout=30", "-verbosity=0"]
        options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=3000", "-print_final_stats=0"]
        # atheris puts another function under this name once it runs.
        mutator = _mutator(session, names, lambda *given: atheris.Mutate(*given))  # noqa: PLW0108 - see above
        atheris.Setup([sys.argv[0], *options, corpus], attempt, custom_mutator=mutator)
        atheris.Fuzz()


def _write_corpus(session: Session, names: list[str], folder: Path) -> None:
    for index, name in enumerate(names):
        for position, data in enumerate(session.pools[name]):
            if len(data) < LARGEST_INPUT:
                (folder / f"{name}-{position}").write_bytes(bytes([index]) + data)


def _mutator(
    session: Session, names: list[str], mutate: Callable[[bytes, int], bytes]
) -> Callable[[bytes, int, int], Any]:
    def mutant(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        name = names[data[0] % len(names)] if data else names[0]
        target, pool = session.targets[name], session.pools[name]
        if len(data) < 2 or random.random() > target.weight:
            name, changed = session.mutant(random)
        elif random.random() < _OWN_MUTATIONS:
            changed = target.mutate(data[1:], random, pool)
        else:
            changed = mutate(data[1:], most - 1)
        return (bytes([names.index(name)]) + changed)[:most]

    return mutant


if __name__ == "__main__":
    main()

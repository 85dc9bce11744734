"""`make fuzz`: hostile bytes for a while, in this process and over the wire.

Its parts take turns: mutants that are drawn, messages that are made of their schema, mutants that
coverage guides, and calls to the services as processes. What breaks a promise is written to the
corpus, where `make test` replays it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from random import Random
from time import monotonic, time
from typing import Any

import click

from queen.serving.logging import configure_logging
from tests.bundles import SmallBundle
from tests.fuzz.guided import PROGRESS_SECONDS, run_guided
from tests.fuzz.live.deployment import deployed
from tests.fuzz.live.fuzzing import LiveFuzz, Tally
from tests.fuzz.problems import CORPUS
from tests.fuzz.session import Session, bound_memory
from tests.fuzz.typed import attempt_typed
from tests.unit.perturber.flagged import small_bundle

SHARES = {"drawn": (0.25, 0.6), "typed": (0.1, 0.04), "guided": (0.3, 0.24), "live": (0.35, 0.12)}
"""Shares of each part in the time, and in the messages: some are made much faster."""
_EXAMPLES = 100
_WITHOUT_END = 10**9


class Fuzz:
    """The parts of a run; each returns its report, and findings go to `out`."""

    def __init__(self, folder: Path, out: Path, seed: int) -> None:
        self._folder, self._out, self._seed = folder, out, seed
        self._small: SmallBundle = small_bundle(folder)

    def drawn(self, seconds: float, messages: int) -> dict[str, Any]:
        """Mutants in this process."""

        def work(session: Session, run: Callable[..., Any], is_over: Callable[[], bool]) -> None:
            random = Random(self._seed)

            async def attempt_some() -> None:
                for _ in range(_EXAMPLES):
                    await session.attempt(*session.mutant(random))

            while not is_over():
                run(attempt_some())

        return self._in_process("drawn", work, seconds, messages)

    def typed(self, seconds: float, messages: int) -> dict[str, Any]:
        """Messages of every schema in this process."""

        def work(session: Session, run: Callable[..., Any], is_over: Callable[[], bool]) -> None:
            known = [target for target in session.targets.values() if target.schema]
            for seed, target in enumerate(cycle(known), self._seed):
                if is_over():
                    return

                def attempt(data: bytes, name: str = target.name) -> None:
                    run(session.attempt(name, data))

                attempt_typed(target, attempt, _EXAMPLES, seed)

        return self._in_process("typed", work, seconds, messages)

    def guided(self, seconds: float, messages: int) -> dict[str, Any]:
        """Mutants that coverage guides, in another process."""
        if find_spec("atheris") is None:
            click.echo("fuzz: guided: atheris is not installed; left out", err=True)
            return {"attempts": 0, "findings": {}}
        report = run_guided(seconds, messages, self._seed, self._folder / "guided", self._out)
        content: dict[str, Any] = json.loads(report.read_text())
        return content

    def live(self, seconds: float, messages: int) -> dict[str, Any]:
        """Calls to the services as processes."""
        with deployed(self._small, self._folder / "live") as running:
            fuzz = LiveFuzz(running, self._seed, self._out)
            tally = asyncio.run(_told(fuzz, seconds, messages))
            for name, process in running.processes.items():
                code = process.drain()
                if code:
                    tally.problems[f"{name} ended with {code}"] = None
        return tally.as_json()

    def _in_process(
        self, part: str, work: Callable[..., None], seconds: float, messages: int
    ) -> dict[str, Any]:
        report = self._folder / f"{part}.json"
        with asyncio.Runner() as runner:
            session = Session(self._small, self._folder / part, self._out)
            runner.run(session.open())
            ends, told = monotonic() + seconds, monotonic()

            def is_over() -> bool:
                nonlocal told
                if monotonic() > told + PROGRESS_SECONDS:
                    told = monotonic()
                    click.echo(f"fuzz: {part}: {session.attempts:,} messages")
                return monotonic() > ends or session.attempts >= messages

            work(session, runner.get_loop().run_until_complete, is_over)
            session.write_report(report)
            runner.run(session.close())
        content: dict[str, Any] = json.loads(report.read_text())
        return content


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="Time of all parts together.")
@click.option("--messages", default=0, help="Stop at so many messages, however long they take.")
@click.option("--seed", type=int, help="What is drawn; another one at each run by default.")
@click.option("--only", multiple=True, type=click.Choice(list(SHARES)), help="Run these parts.")
@click.option("--report", default=Path("build/fuzz"), type=click.Path(path_type=Path))
@click.option(
    "--findings", default=CORPUS, type=click.Path(path_type=Path), help="Where findings go."
)
def main(
    seconds: float,
    messages: int,
    seed: int | None,
    only: tuple[str, ...],
    report: Path,
    findings: Path,
) -> None:
    """Fuzz, report, and exit with 1 if a promise was broken."""
    configure_logging("fuzz", "error")
    bound_memory()
    seed = int(time()) if seed is None else seed
    parts = {part: SHARES[part] for part in only or SHARES}
    content: dict[str, Any] = {"seed": seed, "parts": {}}
    problems: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(folder), findings, seed)
        times, counts = (sum(shares) for shares in zip(*parts.values(), strict=True))
        for part, (time_share, share) in parts.items():
            limits = (seconds * time_share / times, _WITHOUT_END)
            if messages:
                limits = (_WITHOUT_END, round(messages * share / counts))
            started = monotonic()
            done = getattr(fuzz, part)(*limits)
            content["parts"][part] = {"seconds": round(monotonic() - started), **done}
            problems |= {f"{part}: {kind}": str(file) for kind, file in _problems(done).items()}
            click.echo(f"fuzz: {part}: {done['attempts']:,} messages, {len(problems)} problems")
    content["messages"] = sum(part["attempts"] for part in content["parts"].values())
    report.mkdir(parents=True, exist_ok=True)
    (report / "report.json").write_text(json.dumps(content, indent=1) + "\n")
    click.echo(f"fuzz: {content['messages']:,} messages, seed {seed}, written to {report}")
    for kind, file in problems.items():
        click.echo(f"fuzz: {kind}: {file}", err=True)
    sys.exit(1 if problems else 0)


async def _told(fuzz: LiveFuzz, seconds: float, messages: int) -> Tally:
    """Run, and tell how far it is."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            click.echo(f"fuzz: live: {fuzz.tally.attempts:,} messages")

    telling = asyncio.create_task(tell())
    try:
        return await fuzz.run(seconds, messages)
    finally:
        telling.cancel()


def _problems(done: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = done.get("findings") or done.get("problems") or {}
    return found


if __name__ == "__main__":
    main()

"""A session in this process: targets, how their bytes were received, and what went wrong."""

from __future__ import annotations

import json
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from time import process_time

from queen.bundle import open_bundle
from tests.bundles import SmallBundle
from tests.fuzz.methods import Methods
from tests.fuzz.problems import Digests, Problem, corpus_of, problem_of, write_finding
from tests.fuzz.targets.calls import call_targets, open_methods
from tests.fuzz.targets.files import file_targets
from tests.fuzz.targets.target import Target

SLOW_SECONDS = 2.0
"""Processor time that bytes may cost at the most; a slow machine does not count."""
COUNTED_EVERY = 500
REOPENED_EVERY = 20_000
"""Attempts after which the services begin anew, without the state that they have gathered."""
GROWTH_MIB = 192
"""Memory that a session may gain once it is warm: the corpus of the fuzzer, and no more."""
MOST_BYTES = 4 * 2**30
"""Memory that a fuzzing process may hold."""
_SHRINKS = 400


class Session:
    """Attempts on all targets; `out` gets the bytes of each new problem.

    `small` is the bundle that is served, `folder` is for the files of this session.
    """

    def __init__(self, small: SmallBundle, folder: Path, out: Path) -> None:
        self.targets: dict[str, Target] = {}
        self.pools: dict[str, list[bytes]] = {}
        self.outcomes: Counter[str] = Counter()
        self.findings: dict[str, Path] = {}
        self.slowest: tuple[float, str] = (0.0, "")
        self._small, self._folder, self._out = small, folder, out
        self._digests = Digests.of(open_bundle(small.path))
        self._methods = Methods()
        self._services = AsyncExitStack()
        self._warm_mib = 0.0
        self._weights: list[float] = []

    @property
    def attempts(self) -> int:
        """Attempts so far."""
        return self.outcomes.total()

    async def open(self) -> None:
        """Open the services, anew if they are open."""
        await self.close()
        self._methods = await self._services.enter_async_context(
            open_methods(self._small, self._folder / "services")
        )
        opened = call_targets(self._small, self._methods)
        if not self.targets:
            opened += file_targets(self._small, self._folder / "files")
            for target in opened:
                known = map(self.read, corpus_of(target.name))
                self.pools[target.name] = [*target.seeds.values(), *known]
        self.targets |= {target.name: target for target in opened}
        self._weights = [target.weight for target in self.targets.values()]

    async def close(self) -> None:
        """End the services."""
        await self._services.aclose()

    def mutant(self, random: Random) -> tuple[str, bytes]:
        """Bytes for a target, drawn from all."""
        (name,) = random.choices(list(self.targets), self._weights)
        pool = self.pools[name]
        return name, self.targets[name].mutate(random.choice(pool), random, pool)

    def read(self, path: Path) -> bytes:
        """A file of the corpus, for the bundle that is served."""
        return self._digests.bind(path.read_bytes())

    async def attempt(self, name: str, data: bytes) -> str:
        """How bytes were received: an outcome of the target, or the kind of a problem."""
        try:
            outcome = await self._try(name, data)
            if self.attempts % COUNTED_EVERY == 0:
                self._methods.require_counted()
        except Problem as problem:
            outcome = f"PROBLEM {problem.kind}"
            if f"{name}: {problem.kind}" not in self.findings:
                data = await self._shrunk(name, data, problem.kind)
                file = write_finding(self._out, name, problem, self._digests.loosen(data))
                self.findings[f"{name}: {problem.kind}"] = file
        self.outcomes[f"{name} {outcome}"] += 1
        if self.attempts % REOPENED_EVERY == 0:
            await self.open()
            self._require_memory()
        return outcome

    def write_report(self, file: Path) -> None:
        """The counts so far as JSON, for the process that started this one."""
        content = {
            "attempts": self.attempts,
            "outcomes": dict(sorted(self.outcomes.items())),
            "findings": {kind: str(path) for kind, path in self.findings.items()},
            "slowest": self.slowest,
            "memory_mib": round(memory_mib()),
        }
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(content, indent=1) + "\n")
        draft.replace(file)

    async def _try(self, name: str, data: bytes) -> str:
        started = process_time()
        try:
            outcome = await self.targets[name].attempt(data)
        except Problem:
            raise
        except (Exception, SystemExit) as error:
            raise problem_of(error) from error
        seconds = process_time() - started
        self.slowest = max(self.slowest, (round(seconds, 3), name))
        if seconds > SLOW_SECONDS:
            raise Problem(f"slow: {seconds:.1f} s of processor time for {len(data)} bytes")
        return outcome

    async def _shrunk(self, name: str, data: bytes, kind: str) -> bytes:
        """Fewer bytes with the same problem, as far as a bounded search finds them."""
        if kind.startswith(("slow", "hang", "uncounted", "held")):
            return data
        size, tries = max(1, len(data) // 2), 0
        while size and tries < _SHRINKS:
            for start in range(0, len(data), size):
                tries += 1
                shorter = data[:start] + data[start + size :]
                if tries < _SHRINKS and await self._kind(name, shorter) == kind:
                    data = shorter
                    break
            else:
                size //= 2
        return data

    async def _kind(self, name: str, data: bytes) -> str:
        try:
            await self._try(name, data)
        except Problem as problem:
            return problem.kind
        return ""

    def _require_memory(self) -> None:
        now = memory_mib()
        if not self._warm_mib:
            self._warm_mib = now
        elif now > self._warm_mib + GROWTH_MIB:
            kind = "memory: more than before"
            self.findings[kind] = write_finding(
                self._out, "memory", Problem(kind), f"{self._warm_mib:.0f} {now:.0f}".encode()
            )


@asynccontextmanager
async def open_session(small: SmallBundle, folder: Path, out: Path) -> AsyncIterator[Session]:
    """A session whose services are open."""
    session = Session(small, folder, out)
    try:
        await session.open()
        yield session
    finally:
        await session.close()


def bound_memory() -> None:
    """Have this process fail, and not the machine, where bytes ask for too much memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, hard))


def memory_mib(pid: int | str = "self", kind: str = "VmRSS") -> float:
    """Resident memory of a process: VmRSS now, VmHWM at its highest."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(kind)]
    return int(line.split()[1]) / 1024

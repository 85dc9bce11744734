"""Counts the files and functions of ours that a request enters, from front door to answer.

    python -m tests.integration.test_request_path

prints them in the order in which they are entered first.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import CodeType, FrameType

import numpy as np
import pytest
import queen_perturber.wiring
import queen_sensitivity.wiring
from queen_perturber.settings import PerturberSettings
from queen_sensitivity.settings import SensitivitySettings

from queen.serving.server import running
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Door, open_door, write_accounts

ROOT = Path(__file__).parents[2]
MOST_FILES = 62
"""Files of ours that a request enters: 36 without credentials of three kinds, the bounds and turns
of the edge, fair shares, held answers, rounded answers, labels without a verdict, shares of the
log, and secrets by owner. A reader walks them all, so it should fall again."""
ROWS = 6
DECISIONS = "decisions.jsonl"
NEVER = 3600.0
"""Seconds between the calls of the loops that serve no request: probes, look-ups of names."""


class Trace:
    """The functions of ours that any thread enters while `is_on`, in their order.

    Comprehensions count with the function that they are in; generated code (`queen.api`,
    the methods of dataclasses) and what runs on import do not count.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._entered: dict[CodeType, None] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """See this thread and every thread that is started inside the block."""
        threading.setprofile(self._see)
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @property
    def functions(self) -> list[tuple[str, str]]:
        """(file, qualified name) of the functions entered; the file relative to the repository."""
        pairs = (
            (str(Path(code.co_filename).relative_to(ROOT)), code.co_qualname)
            for code in self._entered
            if _is_ours(code)
        )
        return list(dict.fromkeys(pairs))

    @property
    def files(self) -> list[str]:
        """The files of these functions."""
        return list(dict.fromkeys(file for file, _ in self.functions))

    def _see(self, frame: FrameType, event: str, _argument: object) -> None:
        if self.is_on and event == "call":
            self._entered.setdefault(frame.f_code)


def _is_ours(code: CodeType) -> bool:
    is_function = code.co_name == "<lambda>" or not code.co_name.startswith("<")
    folders = (f"{ROOT}/queen/", f"{ROOT}/services/")
    return (
        is_function
        and code.co_filename.startswith(folders)
        and not code.co_filename.startswith(f"{ROOT}/queen/api/")
    )


@asynccontextmanager
async def open_deployment(
    small: SmallBundle, folder: Path, budget: int, **accounts: str
) -> AsyncIterator[Door]:
    """The three services in this process, over gRPC, with SQLite and a decision log.

    `accounts` are policies by name, in YAML.
    """
    secret = folder / "secret"
    secret.write_bytes(b"s" * 32)
    sensitivity = SensitivitySettings(
        bundle=small.path,
        state=str(folder / "ledgers.sqlite"),
        budget=budget,
        port=0,
        admin_port=0,
        metrics_port=-1,
        survey_seconds=0,
    )
    perturber = PerturberSettings(bundle=small.path, secret_file=secret, port=0, metrics_port=-1)
    async with AsyncExitStack() as stack:
        ledgers = await stack.enter_async_context(
            running(sensitivity, queen_sensitivity.wiring.open_service)
        )
        shadows = await stack.enter_async_context(
            running(perturber, queen_perturber.wiring.open_service)
        )
        door = await stack.enter_async_context(
            open_door(
                small,
                write_accounts(folder, **accounts),
                sensitivity_target=ledgers.addresses["address"],
                perturber_target=shadows.addresses["address"],
                decision_log="all",
                decision_log_file=folder / DECISIONS,
                assess_timeout_seconds=10,
                probe_seconds=NEVER,
                resolve_seconds=NEVER,
            )
        )
        yield door


async def trace_a_request(folder: Path, budget: int = 100) -> Trace:
    """The functions that a request of ROWS rows enters, of an account that never asked before."""
    small, trace = make_bundle(folder / "bundle"), Trace()
    rows = small.inputs[:ROWS].astype(np.float32)
    with trace.installed():
        accounts = {"warm": "profile: paper", "new": "profile: paper"}
        async with open_deployment(small, folder, budget, **accounts) as door:
            # The first request of a process does more than those after it.
            await door.client.ask(rows, "warm")
            await _until_logged(folder / DECISIONS, 1)
            trace.is_on = True
            await door.client.ask(rows, "new")
            await _until_logged(folder / DECISIONS, 2)
            trace.is_on = False
    return trace


async def _until_logged(decisions: Path, count: int) -> None:
    """Wait for the decision records of `count` requests: they are written after the answers."""
    async with asyncio.timeout(10):
        while not decisions.exists() or len(decisions.read_text().splitlines()) < count:
            await asyncio.sleep(0.01)


@pytest.mark.timeout(60)
async def test_a_request_enters_few_files(tmp_path: Path) -> None:
    """A reader who follows a request through the services opens at most MOST_FILES files."""
    trace = await trace_a_request(tmp_path)
    assert len(trace.files) <= MOST_FILES, "\n".join(trace.files)


def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        trace = asyncio.run(trace_a_request(Path(folder), *map(int, sys.argv[1:])))
    for file in trace.files:
        names = [name for other, name in trace.functions if other == file]
        sys.stdout.write(f"{file}: {', '.join(names)}\n")
    sys.stdout.write(f"{len(trace.files)} files, {len(trace.functions)} functions\n")


if __name__ == "__main__":
    _main()

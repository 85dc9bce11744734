"""The progress of a fit at a terminal, and the seconds of every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

Update = Callable[[int, int], None]
"""Called with the number of parts that are done, and of all parts."""


def ignore_progress(_done: int, _total: int) -> None:
    """An Update that shows nothing."""


class FitProgress:
    """Shows the steps of a fit on `console`, or nothing if there is none."""

    def __init__(self, console: Console | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=console is None,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the steps while the block runs."""
        with self._progress:
            yield

    @contextmanager
    def step(self, title: str) -> Iterator[Update]:
        """Show a step whose parts the block reports; its time is kept under `title`."""
        task = self._progress.add_task(title, total=None)
        start = time.perf_counter()
        yield lambda done, total: self._progress.update(task, completed=done, total=total)
        self.seconds[title] = round(time.perf_counter() - start, 3)
        total = self._progress.tasks[-1].total or 1
        self._progress.update(task, completed=total, total=total)

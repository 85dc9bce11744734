"""Runs the cells of a plan on worker processes, and can be stopped and taken up again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from queen.redteam.plans.cells import Cell
from queen.redteam.report.rows import Row, RowFile
from queen.redteam.runs.cache import DEFAULT_CACHE, Cache
from queen.redteam.runs.laboratory import Laboratory
from queen.redteam.runs.measure import Surveyor
from queen.serving.logging import configure_logging

ROWS, FAILED = "rows.jsonl", "failed.jsonl"
_LABORATORIES = 3
"""Laboratories that a worker keeps open, about 300 MB each for Fashion-MNIST."""

OnRow = Callable[[Cell], None]


@dataclass(frozen=True)
class Site:
    """Where a run keeps what it makes, and finds its data."""

    out: Path
    cache: Path = DEFAULT_CACHE
    data_dir: Path | None = None


@dataclass(frozen=True)
class Failure:
    """Why a cell has no row: in a line, and as a traceback."""

    reason: str
    traceback: str


@dataclass
class Outcome:
    """What a run left: its rows in the order of the plan, and the cells that failed, with why."""

    rows: list[Row]
    failed: dict[str, Failure] = field(default_factory=dict)


def run_cells(
    cells: Sequence[Cell], site: Site, *, jobs: int = 1, on_row: OnRow = lambda _cell: None
) -> Outcome:
    """Measure all cells that `site.out` has no row of yet, in order, `jobs` at once.

    A cell that fails is told in failed.jsonl and tried again by the next run; the others
    go on. An interrupt leaves every finished row.
    """
    file = RowFile(site.out / ROWS)
    site.out.mkdir(parents=True, exist_ok=True)
    failed: dict[str, Failure] = {}
    missing = [cell for cell in cells if cell.name not in file.rows]
    for cell in cells:
        if cell.name in file.rows:
            on_row(cell)
    for cell, result in _measured(missing, site, jobs):
        if isinstance(result, Failure):
            failed[cell.name] = result
            _tell_failure(site.out / FAILED, cell, result)
        else:
            file.append(result)
        on_row(cell)
    rows = [file.rows[cell.name] for cell in cells if cell.name in file.rows]
    return Outcome(rows, failed)


def _measured(cells: Sequence[Cell], site: Site, jobs: int) -> Iterator[tuple[Cell, Row | Failure]]:
    if not cells:
        return
    if jobs == 1:
        _prepare_worker()
        yield from ((cell, _measure(cell, site)) for cell in cells)
        return
    with _workers(min(jobs, len(cells))) as pool:
        futures: dict[Future[Row | Failure], Cell] = {
            pool.submit(_measure, cell, site): cell for cell in cells
        }
        for future in as_completed(futures):
            yield futures[future], future.result()


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Torch and ONNX Runtime do not survive a fork of a process that has used them.
    context = multiprocessing.get_context("spawn")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        # Whoever asks to stop does not wait for the copies in training.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def _start_worker() -> None:
    # Ctrl-C reaches the whole group; the parent alone decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prepare_worker()


def _prepare_worker() -> None:
    torch.set_num_threads(1)
    configure_logging("redteam", "error")


_surveyors: dict[tuple[str, int, Site], Surveyor] = {}


def _measure(cell: Cell, site: Site) -> Row | Failure:
    """The row of a cell, or what went wrong."""
    try:
        return _surveyor(cell, site).measure(cell)
    except Exception as error:  # noqa: BLE001 - one broken attack must not cost the others theirs
        first, *_ = str(error).splitlines() or [""]
        return Failure(f"{type(error).__name__}: {first}", traceback.format_exc())


def _surveyor(cell: Cell, site: Site) -> Surveyor:
    key = (cell.dataset, cell.seed, site)
    surveyor = _surveyors.pop(key, None)
    if surveyor is None:
        cache = Cache(site.cache)
        surveyor = Surveyor(Laboratory(cell.dataset, cell.seed, cache, site.data_dir))
    while len(_surveyors) >= _LABORATORIES:
        _surveyors.pop(next(iter(_surveyors)))
    _surveyors[key] = surveyor
    return surveyor


def _tell_failure(file: Path, cell: Cell, failure: Failure) -> None:
    told = {"cell": cell.name, "title": cell.title, **asdict(failure)}
    with file.open("a") as lines:
        lines.write(json.dumps(told) + "\n")

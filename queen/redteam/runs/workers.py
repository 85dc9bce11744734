"""Measures cells on worker processes; a run can be stopped and continued."""

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

from queen.redteam.learner import LEARNER
from queen.redteam.plans.cell import Cell
from queen.redteam.report.rows import Row, RowFile, read_rows
from queen.redteam.runs.cache import DEFAULT_CACHE, Cache
from queen.redteam.runs.evaluator import Evaluator
from queen.redteam.runs.experiment import Experiment
from queen.serving.logging import configure_logging

ROWS, FAILED = "rows.jsonl", "failed.jsonl"
_OPEN_EXPERIMENTS = 3
"""Experiments that a worker keeps in memory, about 300 MB each for Fashion-MNIST."""

OnRow = Callable[[Cell], None]


@dataclass(frozen=True)
class Folders:
    """The folders of a run: for its output, for its cache, and of its data."""

    out: Path
    cache: Path = DEFAULT_CACHE
    data_dir: Path | None = None


@dataclass(frozen=True)
class Failure:
    """The reason why a cell has no row, as a line and as a traceback."""

    reason: str
    traceback: str


@dataclass
class Outcome:
    """The rows of a run in the order of the plan, and the failures by the name of the cell."""

    rows: list[Row]
    failed: dict[str, Failure] = field(default_factory=dict)


def run_cells(
    cells: Sequence[Cell], folders: Folders, *, jobs: int = 1, on_row: OnRow = lambda _cell: None
) -> Outcome:
    """Measure all cells that `folders.out` has no row of yet, in order, `jobs` at once.

    A cell that fails is reported in failed.jsonl and measured again by the next run; the
    others go on. An interrupt leaves every finished row.
    """
    file = open_rows(folders)
    folders.out.mkdir(parents=True, exist_ok=True)
    failed: dict[str, Failure] = {}
    missing = [cell for cell in cells if cell.name not in file.rows]
    for cell in cells:
        if cell.name in file.rows:
            on_row(cell)
    for cell, result in _measured(missing, folders, jobs):
        if isinstance(result, Failure):
            failed[cell.name] = result
            _report_failure(folders.out / FAILED, cell, result)
        else:
            file.append(result)
        on_row(cell)
    rows = [file.rows[cell.name] for cell in cells if cell.name in file.rows]
    return Outcome(rows, failed)


def open_rows(folders: Folders) -> RowFile:
    """The rows of the present learner in the folder of a run."""
    return RowFile(folders.out / ROWS, LEARNER)


def adopt_rows(report: Path, folders: Folders) -> tuple[int, int]:
    """Let a run go on from another run's report: numbers of rows adopted, and passed over.

    Passed over are rows of another learner and of cells that the run has measured itself.
    """
    rows = read_rows(report)
    adopted = open_rows(folders).adopt(rows)
    return adopted, len(rows) - adopted


def _measured(
    cells: Sequence[Cell], folders: Folders, jobs: int
) -> Iterator[tuple[Cell, Row | Failure]]:
    if not cells:
        return
    if jobs == 1:
        _prepare_worker()
        yield from ((cell, _measure(cell, folders)) for cell in cells)
        return
    with _workers(min(jobs, len(cells))) as pool:
        futures: dict[Future[Row | Failure], Cell] = {
            pool.submit(_measure, cell, folders): cell for cell in cells
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
        # An interrupt must not wait for the copies in training.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides when the workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prepare_worker()


def _prepare_worker() -> None:
    torch.set_num_threads(1)
    configure_logging("redteam", "error")


_evaluators: dict[tuple[str, int, Folders], Evaluator] = {}


def _measure(cell: Cell, folders: Folders) -> Row | Failure:
    """The row of a cell, or its failure."""
    try:
        return _evaluator(cell, folders).measure(cell)
    except Exception as error:  # noqa: BLE001 - one broken attack must not cost the others theirs
        first, *_ = str(error).splitlines() or [""]
        return Failure(f"{type(error).__name__}: {first}", traceback.format_exc())


def _evaluator(cell: Cell, folders: Folders) -> Evaluator:
    key = (cell.dataset, cell.seed, folders)
    evaluator = _evaluators.pop(key, None)
    if evaluator is None:
        cache = Cache(folders.cache)
        evaluator = Evaluator(Experiment(cell.dataset, cell.seed, cache, folders.data_dir))
    while len(_evaluators) >= _OPEN_EXPERIMENTS:
        _evaluators.pop(next(iter(_evaluators)))
    _evaluators[key] = evaluator
    return evaluator


def _report_failure(file: Path, cell: Cell, failure: Failure) -> None:
    line = {"cell": cell.name, "title": cell.title, **asdict(failure)}
    with file.open("a") as lines:
        lines.write(json.dumps(line) + "\n")

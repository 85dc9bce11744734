"""Times the steps of the method in this process, against the slower ways that they replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from queen_sensitivity.index.base import open_index
from queen_sensitivity.ledgers.ledger_table import LedgerTable

from queen.method.answers.decoy import fit_sketch_space, make_decoy, sketch_inputs
from queen.method.answers.gradient_reverse import gradient_reverse, reverse_target
from queen.method.answers.label_preserving import (
    MAX_STEPS,
    STEP,
    LinearHead,
    preserve_label,
    softmax,
)
from queen.method.answers.misdirection import partner_classes, safe_answer
from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from queen.method.neighbors import nearest_distances

BATCH = 256


@dataclass(frozen=True)
class Kernel:
    """Microseconds a query of a kernel: median, fastest and slowest repeat.

    `goal` is the most that it may cost; `reference` is the cost of the slow way that the closed
    form replaces, measured in the same run, and `speedup` their ratio.
    """

    name: str
    microseconds: float
    fastest: float
    slowest: float
    goal: float | None = None
    reference: str | None = None
    speedup: float | None = None


def run_method_bench(repeats: int = 15, seed: int = 0) -> list[dict[str, Any]]:
    """Time every kernel at batch 256, one thread; rows of `Kernel` as dictionaries."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    kernels = [
        _reverse(rng, repeats, classes=10, goal=2.0, solve=True),
        _reverse(rng, repeats, classes=1000, goal=100.0, solve=False),
        _safe(rng, repeats, classes=10),
        _decoy(rng, repeats, classes=10),
        _preserve(rng, repeats, classes=10, width=128, goal=3.0, loop=True),
        _preserve(rng, repeats, classes=1000, width=512, goal=None, loop=False),
        _ledger(rng, repeats, records=100),
        _ledger(rng, repeats, records=10_000),
    ]
    return [asdict(kernel) for kernel in kernels]


def _time(call: Callable[[], object], rows: int, repeats: int) -> tuple[float, float, float]:
    """Microseconds a row: median, fastest, slowest of `repeats` after a warm-up."""
    call()
    costs = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        costs.append((time.perf_counter() - start) / rows * 1e6)
    return median(costs), min(costs), max(costs)


def _simplex(rng: np.random.Generator, rows: int, classes: int) -> FloatArray:
    return softmax(3.0 * rng.normal(size=(rows, classes)))


def _reverse(
    rng: np.random.Generator, repeats: int, *, classes: int, goal: float, solve: bool
) -> Kernel:
    p, q = (torch.from_numpy(_simplex(rng, BATCH, classes)) for _ in range(2))
    cost = _time(lambda: gradient_reverse(p, q), BATCH, repeats)
    name = f"gradient reverse, C = {classes}"
    if not solve:
        return Kernel(name, *cost, goal=goal)
    targets = reverse_target(p, q)[:4].numpy()
    slow = _time(lambda: [_solve(target) for target in targets], len(targets), 3)[0]
    return Kernel(name, *cost, goal, "SLSQP solver", slow / cost[0])


def _solve(target: FloatArray) -> FloatArray:
    """The simplex point of largest cosine by an iterative solver, as first published."""
    from scipy.optimize import minimize  # noqa: PLC0415 - the reference alone needs SciPy

    length = np.linalg.norm(target)
    solution = minimize(
        lambda s: -float(s @ target) / (np.linalg.norm(s) * length),
        np.full(len(target), 1.0 / len(target)),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(target),
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1.0},
    )
    return np.asarray(solution.x)


def _safe(rng: np.random.Generator, repeats: int, classes: int) -> Kernel:
    p, partners = _simplex(rng, BATCH, classes), partner_classes("bench", classes)
    labels = p.argmax(axis=1)
    cost = _time(lambda: safe_answer(p, labels, partners), BATCH, repeats)
    return Kernel(f"safe answer, C = {classes}", *cost)


def _decoy(rng: np.random.Generator, repeats: int, classes: int) -> Kernel:
    """The answer of the profile `strict`, from inputs of 28 x 28."""
    images = rng.random((BATCH, 1, 28, 28), np.float32)
    labels = np.arange(BATCH) % classes
    space = fit_sketch_space(sketch_inputs(images), labels, classes, 0.9)
    decoy = make_decoy(b"bench", "bench", space)
    cost = _time(lambda: decoy.answers(sketch_inputs(images)), BATCH, repeats)
    return Kernel(f"decoy answer with its sketch, C = {classes}", *cost)


def _preserve(
    rng: np.random.Generator,
    repeats: int,
    *,
    classes: int,
    width: int,
    goal: float | None,
    loop: bool,
) -> Kernel:
    single = np.float32
    head = LinearHead(
        (rng.normal(size=(classes, width)) / np.sqrt(width)).astype(single),
        rng.normal(size=classes).astype(single),
        rng.normal(size=(classes, width)).astype(single),
        spread=float(np.sqrt(width)),
    )
    features = rng.normal(size=(BATCH, width)).astype(single)
    logits = (features @ head.weight.T + head.bias).astype(single)
    cost = _time(lambda: preserve_label(head, logits, features), BATCH, repeats)
    name = f"label-preserving, C = {classes}, D = {width}"
    if not loop:
        return Kernel(name, *cost, goal=goal)
    slow = _time(lambda: [_step_loop(head, row) for row in features[:16]], 16, 5)[0]
    return Kernel(name, *cost, goal, "step loop", slow / cost[0])


def _step_loop(head: LinearHead, feature: NDArray[np.float32]) -> FloatArray:
    """Move the feature step by step while its label stays, as first published."""
    label = (head.weight @ feature + head.bias).argmax()
    gaps = head.feature_centers - feature
    far = int(np.linalg.norm(gaps, axis=1).argmax())
    step = gaps[far] / np.linalg.norm(gaps[far]) * STEP * head.spread
    for _ in range(MAX_STEPS):
        moved = feature + step
        if (head.weight @ moved + head.bias).argmax() != label:
            break
        feature = moved
    return softmax((head.weight @ feature + head.bias)[None])


def _ledger(rng: np.random.Generator, repeats: int, records: int) -> Kernel:
    """A ledger step with its search, over a class that holds `records` records."""
    geometry = Geometry(
        np.zeros((1, 2), np.float32), np.ones(1, np.float32), coverage_fraction=0.005
    )
    stored = rng.uniform(-0.7, 0.7, (records, 2)).astype(np.float32)
    queries = rng.uniform(-0.7, 0.7, (BATCH, 2)).astype(np.float32)
    labels = np.zeros(BATCH, np.int64)
    table = LedgerTable(2)
    search = open_index("auto", geometry, table)
    numbers, counts = np.array([table.open(0)]), np.array([records])
    table.extend(numbers, counts, stored, np.ones(records))
    search.add(numbers, counts, stored)
    owners = np.full(BATCH, numbers[0])
    # The class is crossed: the costliest steady state, in which every row is searched.
    cqs, threshold = np.ones(1), np.zeros(1)

    def step() -> object:
        nearest = np.where(search.is_novel(owners, queries, labels), np.inf, 0.0)
        return assess_rows(
            geometry, LedgerRows(queries, labels, labels), nearest, LedgerLevels(cqs, threshold)
        )

    cost = _time(step, BATCH, repeats)
    slow = _time(lambda: nearest_distances(stored, queries[:16]), 16, 5)[0]
    goal = 10.0 if records == 10_000 else None
    return Kernel(
        f"ledger step, {records:,} records", *cost, goal, "brute force alone", slow / cost[0]
    )


def goal_met(kernel: dict[str, Any]) -> bool | None:
    """Whether a kernel's median meets its goal; None if it has none."""
    return None if kernel["goal"] is None else kernel["microseconds"] < kernel["goal"]

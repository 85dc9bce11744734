"""From a cell to a row: the attack is carried out, and everything beside it is measured.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.errors import FitError
from queen.redteam.attacks import ATTACKS, Means
from queen.redteam.attacks.base import ask_spread, one_hot
from queen.redteam.datasets import Images, Labels
from queen.redteam.networks import accuracy, predict
from queen.redteam.plans.cells import Cell
from queen.redteam.report.rows import Row, number, numbers
from queen.redteam.runs.laboratory import Laboratory
from queen.redteam.targets.base import Answers, MeteredTarget
from queen.redteam.targets.opponent import Opponent
from queen.redteam.targets.traffic import Traffic

HISTORIES = (0, 500, 2_000, 10_000)
"""Queries asked before, at which an honest account's accuracy is told."""
_WINDOW = 250
"""Queries on either side of a history that its accuracy is the mean of."""

Curve = list[list[float | None]]


@dataclass(frozen=True)
class Honest:
    """What a fresh honest account got that sent the whole test set; see `as_honest`."""

    honest_accuracy: float
    honest_flip_rate: float
    honest_curve: Curve


@dataclass(frozen=True)
class Floors:
    """What copies of clean answers reach, which no answer after them can undo.

    `clean_prefix_floor` learned what each account got before its first reversal,
    `label_only_floor` the protectee's own labels of the same queries. For a defence
    without verdicts the first does not exist and the second learned every label.
    """

    clean_prefix_floor: float | None
    clean_prefix_queries: int | None
    label_only_floor: float | None


class Surveyor:
    """Measures the cells of one laboratory; floors and honest figures once for all attacks."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._honest: dict[tuple[object, ...], Honest] = {}
        self._floors: dict[tuple[object, ...], Floors] = {}

    def measure(self, cell: Cell) -> Row:
        """The row of a cell; errors of the attack arrive as they are.

        An attack whose rehearsal fits no defence leaves no copy: its figures are null and
        `note` says why.
        """
        started = time.perf_counter()
        laboratory, opponent = self._laboratory, Opponent(self._laboratory, cell)
        means = Means(
            dataset=cell.dataset,
            pool=laboratory.pool(cell.pool),
            queries=cell.queries,
            seed=cell.seed,
            accounts=cell.accounts,
            train=laboratory.train_copy,
            rehearse=opponent.rehearse,
        )
        piracy_model, note = None, None
        with opponent.deployed() as target:
            try:
                metered = MeteredTarget(target, cell.queries)
                piracy_model = ATTACKS[cell.attack].steal(metered, means)
            except FitError as error:
                note = str(error)
            traffic = target.traffic
        figures = {**self._copy_figures(piracy_model), **traffic_figures(traffic)}
        return {
            "cell": cell.name,
            **asdict(cell),
            **numbers(figures),
            **asdict(self._honest_of(cell, opponent)),
            **asdict(self._floors_of(cell, opponent, means)),
            "protectee_accuracy": _share(laboratory.test_labels == laboratory.split.test_y),
            "queries_sent": traffic.queries,
            "note": note,
            "seconds": round(time.perf_counter() - started, 2),
        }

    def _copy_figures(self, piracy_model: nn.Module | None) -> dict[str, float | None]:
        if piracy_model is None:
            return {"clone_accuracy": None, "fidelity": None}
        split = self._laboratory.split
        labels = predict(piracy_model, split.test_x)
        return {
            "clone_accuracy": _share(labels == split.test_y),
            "fidelity": _share(labels == self._laboratory.test_labels),
        }

    def _honest_of(self, cell: Cell, opponent: Opponent) -> Honest:
        key = (cell.defense, cell.profile, cell.budget)
        if key not in self._honest:
            split = self._laboratory.split
            order = np.random.default_rng([cell.seed, 5]).permutation(len(split.test_x))
            with opponent.deployed(grouped=False) as target:
                answers = target.open_account("honest").ask(split.test_x[order])
            own = self._laboratory.test_labels[order]
            self._honest[key] = as_honest(answers, split.test_y[order], own)
        return self._honest[key]

    def _floors_of(self, cell: Cell, opponent: Opponent, means: Means) -> Floors:
        shared = (cell.accounts, cell.linked, cell.queries, cell.pool)
        key = (cell.defense, cell.profile, cell.budget, *shared)
        if key not in self._floors:
            self._floors[key] = self._measure_floors(cell, opponent, means)
        return self._floors[key]

    def _measure_floors(self, cell: Cell, opponent: Opponent, means: Means) -> Floors:
        stream = means.stream
        if not cell.is_ours:
            own = self._laboratory.see(stream).probabilities
            return Floors(None, None, self._copy_accuracy(stream, one_hot(own)))
        with opponent.deployed() as target:
            answers = ask_spread(MeteredTarget(target, len(stream)), stream, cell.accounts)
            rows = clean_rows(target.traffic, cell.accounts)
        if not len(rows):
            return Floors(None, 0, None)
        own = self._laboratory.see(stream[rows]).probabilities
        return Floors(
            self._copy_accuracy(stream[rows], answers[rows]),
            len(rows),
            self._copy_accuracy(stream[rows], one_hot(own)),
        )

    def _copy_accuracy(self, queries: Images, targets: Answers) -> float:
        copy = self._laboratory.train_copy(queries, targets)
        split = self._laboratory.split
        return accuracy(copy, split.test_x, split.test_y)


def traffic_figures(traffic: Traffic) -> dict[str, float | None]:
    """Mean L1 distance of the answers to the protectee's, and the share that was reversed."""
    if not traffic.queries:
        return {"mean_l1": None, "reversed_fraction": None}
    own, flags = traffic.own, traffic.is_reversed
    moved = None if own is None else float(np.abs(traffic.answers - own).sum(axis=1).mean())
    return {"mean_l1": moved, "reversed_fraction": None if flags is None else _share(flags)}


def clean_rows(traffic: Traffic, accounts: int) -> NDArray[np.int64]:
    """Places in the stream (Q', ...) of what each account got before its first reversal.

    Of a stream that `ask_spread` dealt out: query i went to account i mod `accounts`.
    """
    rows = []
    for number_of in range(accounts):
        flags = traffic.of(f"thief-{number_of}").is_reversed
        if flags is not None:
            clean = int(flags.argmax()) if flags.any() else len(flags)
            rows.append(number_of + accounts * np.arange(clean))
    return np.sort(np.concatenate(rows)) if rows else np.empty(0, np.int64)


def as_honest(answers: Answers, truth: Labels, own: Labels) -> Honest:
    """Figures of an account that sent N images in this order: answers (N, C), labels (N,).

    The flip rate is the share of its labels that are not the protectee's `own`.
    """
    labels = answers.argmax(axis=1)
    return Honest(_share(labels == truth), _share(labels != own), history_curve(labels == truth))


def history_curve(is_right: NDArray[np.bool_]) -> Curve:
    """Pairs of a history and the accuracy around it, from N answers in order (N,).

    At HISTORIES, a mean over 250 queries on either side; an account that sent fewer than
    10,000 has it told at its own 0, 1/4, 1/2 and 1, over an eighth on either side.
    """
    sent = len(is_right)
    whole = sent >= HISTORIES[-1]
    histories = HISTORIES if whole else (0, sent // 4, sent // 2, sent)
    width = _WINDOW if whole else max(sent // 8, 1)
    windows = [is_right[max(0, place - width) : place + width] for place in histories]
    return [
        [place, number(_share(window) if len(window) else None)]
        for place, window in zip(histories, windows, strict=True)
    ]


def _share(claims: NDArray[np.bool_]) -> float:
    return float(np.mean(claims))

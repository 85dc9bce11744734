"""From a cell to a row: carry out the attack, and measure the defense beside it.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from torch import nn

from queen.errors import FitError
from queen.redteam.attacks import ATTACKS, Thief
from queen.redteam.attacks.base import ask_spread, halfway, one_hot
from queen.redteam.datasets import Images
from queen.redteam.networks import accuracy, predict
from queen.redteam.plans.cell import Cell
from queen.redteam.report.rows import Row, finite_figures
from queen.redteam.runs.cache import answering_code, measuring_code
from queen.redteam.runs.defense_under_test import DefenseUnderTest
from queen.redteam.runs.ensembles import CopyTrainer
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.figures import (
    Floors,
    Honest,
    clean_rows,
    share,
    traffic_figures,
)
from queen.redteam.runs.honest import measure_honest
from queen.redteam.targets.base import Answers, MeteredTarget


class Evaluator:
    """Measures the cells of an experiment; floors and honest figures once for all attacks."""

    def __init__(
        self, experiment: Experiment, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._experiment = experiment
        self._clock = clock
        self._honest: dict[tuple[object, ...], Honest] = {}
        self._floors: dict[tuple[object, ...], Floors] = {}

    def measure(self, cell: Cell) -> Row:
        """The row of a cell; errors of the attack are raised as they are.

        An attack whose simulation fits no defense leaves no copy, nor does one whose last network
        gets no company where the cell asks for an ensemble: its figures are null and `note` says
        why.
        """
        started = self._clock()
        experiment, defense = self._experiment, DefenseUnderTest(self._experiment, cell)
        trainer = CopyTrainer(experiment.train_copy, cell.members)
        thief = Thief(
            dataset=cell.dataset,
            pool=experiment.pool(cell.pool),
            queries=cell.queries,
            seed=cell.seed,
            accounts=cell.accounts,
            train=trainer,
            simulate=defense.simulate,
        )
        piracy_model, note = None, None
        with defense.deployed() as target:
            try:
                metered = MeteredTarget(target, cell.queries)
                copy = ATTACKS[cell.attack].steal(metered, thief)
                piracy_model = trainer.with_company(copy)
            except FitError as error:
                note = str(error)
            traffic = target.traffic
        figures = {**self._copy_figures(piracy_model), **traffic_figures(traffic)}
        return {
            "cell": cell.name,
            **asdict(cell),
            **finite_figures(figures),
            **asdict(self._honest_of(cell, defense)),
            **asdict(self._floors_of(cell, defense, thief)),
            "protectee_accuracy": share(experiment.test_labels == experiment.split.test_y),
            "queries_sent": traffic.queries,
            "note": note,
            "code": answering_code()[:12],
            "seconds": round(self._clock() - started, 2),
        }

    def _copy_figures(self, piracy_model: nn.Module | None) -> dict[str, float | None]:
        if piracy_model is None:
            return {"clone_accuracy": None, "fidelity": None}
        split = self._experiment.split
        labels = predict(piracy_model, split.test_x)
        return {
            "clone_accuracy": share(labels == split.test_y),
            "fidelity": share(labels == self._experiment.test_labels),
        }

    def _honest_of(self, cell: Cell, defense: DefenseUnderTest) -> Honest:
        key = _defense_of(cell)
        if key not in self._honest:
            identity = {
                "defense": key,
                "bundle": defense.bundle.digest,
                "seed": cell.seed,
                "code": measuring_code(),
            }
            figures = self._experiment.cache.figures(
                "honest", identity, lambda: asdict(measure_honest(self._experiment, defense, cell))
            )
            self._honest[key] = Honest(**figures)
        return self._honest[key]

    def _floors_of(self, cell: Cell, defense: DefenseUnderTest, thief: Thief) -> Floors:
        shared = (cell.accounts, cell.linked, cell.queries, cell.pool, cell.members)
        key = (*_defense_of(cell), *shared)
        if key not in self._floors:
            self._floors[key] = self._measure_floors(cell, defense, thief)
        return self._floors[key]

    def _measure_floors(self, cell: Cell, defense: DefenseUnderTest, thief: Thief) -> Floors:
        stream, members = thief.stream, cell.members
        if not cell.is_ours:
            return Floors(None, None, self._label_only_accuracy(stream, members))
        with defense.deployed() as target:
            answers = ask_spread(MeteredTarget(target, len(stream)), stream, cell.accounts)
            rows = clean_rows(target.traffic, cell.accounts)
        if not len(rows):
            return Floors(None, 0, None)
        return Floors(
            self._copy_accuracy(stream[rows], halfway(answers[rows]), members),
            len(rows),
            self._label_only_accuracy(stream[rows], members),
        )

    def _label_only_accuracy(self, queries: Images, members: int) -> float:
        own = self._experiment.plain_protectee.run(queries).probabilities
        return self._copy_accuracy(queries, one_hot(own), members)

    def _copy_accuracy(self, queries: Images, targets: Answers, members: int) -> float:
        trainer = CopyTrainer(self._experiment.train_copy, members)
        copy = trainer.with_company(trainer(queries, targets))
        split = self._experiment.split
        return accuracy(copy, split.test_x, split.test_y)


def _defense_of(cell: Cell) -> tuple[object, ...]:
    """The fields of a cell that name its defense."""
    return cell.defense, cell.profile, cell.budget, cell.breadth, cell.class_cap

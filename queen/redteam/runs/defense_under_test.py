"""The defense that a cell names: deployed for an attack, or simulated by the thief."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from queen.bundle import Bundle
from queen.defaults import BREADTH, CLASS_CAP
from queen.method.contracts import Profile
from queen.redteam.attacks import Simulation
from queen.redteam.datasets import Images
from queen.redteam.plans.cell import QUEEN_EPOCH, Cell
from queen.redteam.runs.bundles import EPOCH, STEPS
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.simulation import Recipe, simulate
from queen.redteam.targets.baseline import BaselineTarget
from queen.redteam.targets.in_process import (
    InProcessTarget,
    OperatorChoice,
    open_in_process,
    seeded_secret,
)


class DefenseUnderTest:
    """The defense of a cell over an experiment's protectee."""

    def __init__(self, experiment: Experiment, cell: Cell) -> None:
        self._experiment = experiment
        self._cell = cell
        self._recipe = Recipe(
            cell.dataset,
            cell.defense,
            cell.profile,
            cell.budget,
            EPOCH if cell.defense == QUEEN_EPOCH else STEPS,
            cell.seed,
            cell.breadth,
            cell.class_cap,
        )

    @property
    def bundle(self) -> Bundle:
        """The bundle of Queen; of a baseline, that of the protectee behind it."""
        return self._experiment.bundle(self._recipe.shadows)

    @contextmanager
    def deployed(
        self, *, grouped: bool | None = None, secret: bytes | None = None
    ) -> Iterator[InProcessTarget | BaselineTarget]:
        """A fresh deployment with empty ledgers, its accounts `grouped` or as the cell says.

        The perturber's `secret` follows from the cell's seed unless it is given.
        """
        cell, experiment = self._cell, self._experiment
        if not cell.is_ours:
            answer = experiment.baseline(cell.defense)
            yield BaselineTarget(experiment.plain_protectee, answer)
            return
        bundle = self.bundle
        choice = OperatorChoice(
            Profile(cell.profile or ""),
            cell.budget or 0,
            secret or seeded_secret(f"defender {cell.seed}"),
            breadth=cell.breadth or BREADTH,
            class_cap=cell.class_cap or CLASS_CAP,
            grouped=cell.linked if grouped is None else grouped,
        )
        with open_in_process(bundle, choice, experiment.protectee(bundle)) as target:
            yield target

    def simulate(self, twin: nn.Module, images: Images) -> Simulation:
        """The recipe tried on the thief's `twin`, see `queen.redteam.runs.simulation.simulate`."""
        return simulate(self._experiment.cache, self._recipe, twin, images)

"""The defence that a cell names, deployed for an attack or rehearsed.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn

from queen.method.contracts import Profile
from queen.redteam.attacks import Rehearsal
from queen.redteam.datasets import Images
from queen.redteam.defenses import Answer, Asked
from queen.redteam.plans.cells import QUEEN_EPOCH, Cell
from queen.redteam.runs.laboratory import EPOCH, STEPS, Laboratory
from queen.redteam.targets.base import Answers
from queen.redteam.targets.in_process import Defended, InProcessTarget
from queen.redteam.targets.rehearsal import Recipe, rehearse, secret_of
from queen.redteam.targets.traffic import Exchange, Traffic


class BaselineTarget:
    """A baseline over a laboratory's protectee; `traffic` is the evaluator's record."""

    def __init__(self, laboratory: Laboratory, answer: Answer) -> None:
        self._laboratory = laboratory
        self._answer = answer
        self.traffic = Traffic()

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self._laboratory.split.class_names)

    def open_account(self, name: str) -> _BaselineAccount:
        """An account; a baseline knows no difference between them."""
        return _BaselineAccount(self, name)

    def answer(self, name: str, queries: Images) -> Answers:
        """Answers (Q, C), noted in `traffic`."""
        seen = self._laboratory.see(queries)
        answers = self._answer(Asked(queries, seen.probabilities, seen.features))
        self.traffic.exchanges.append(Exchange(name, answers, seen.probabilities, None))
        return answers


class _BaselineAccount:
    def __init__(self, target: BaselineTarget, name: str) -> None:
        self._target = target
        self._name = name

    def ask(self, queries: Images) -> Answers:
        if not len(queries):
            return np.empty((0, self._target.num_classes), np.float32)
        return self._target.answer(self._name, queries)


class Opponent:
    """The defence of a cell: deploy it as often as needed, or rehearse against its recipe."""

    def __init__(self, laboratory: Laboratory, cell: Cell) -> None:
        self._laboratory = laboratory
        self._cell = cell
        self._recipe = Recipe(
            cell.dataset,
            cell.defense,
            cell.profile,
            cell.budget,
            EPOCH if cell.defense == QUEEN_EPOCH else STEPS,
            cell.seed,
        )

    @contextmanager
    def deployed(
        self, *, grouped: bool | None = None
    ) -> Iterator[InProcessTarget | BaselineTarget]:
        """A fresh deployment, with empty ledgers; its accounts `grouped` as the cell says."""
        cell, laboratory = self._cell, self._laboratory
        if not cell.is_ours:
            yield BaselineTarget(laboratory, laboratory.baseline(cell.defense))
            return
        bundle = laboratory.bundle(self._recipe.shadows)
        defended = Defended(
            bundle.path,
            Profile(cell.profile or ""),
            cell.budget or 0,
            secret_of(f"defender {cell.seed}"),
            grouped=cell.linked if grouped is None else grouped,
        )
        with InProcessTarget(defended, laboratory.protectee(bundle)) as target:
            yield target

    def rehearse(self, twin: nn.Module, images: Images) -> Rehearsal:
        """See `queen.redteam.targets.rehearsal.rehearse`."""
        return rehearse(self._laboratory.cache, self._recipe, twin, images)

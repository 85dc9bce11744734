"""The defence that a cell names, deployed for an attack, and rehearsed on a thief's own model.

Shapes: Q queries, C classes, N images, D feature width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from queen.method.contracts import Profile
from queen.redteam.attacks import Rehearsal
from queen.redteam.cache import answering_code, weights_hash
from queen.redteam.cells import QUEEN_EPOCH, Cell
from queen.redteam.datasets import Images
from queen.redteam.defenses import DEFENSES, Answer, Asked, Training
from queen.redteam.engine import Defended, InProcessTarget
from queen.redteam.laboratory import EPOCH, STEPS, Laboratory, fitted_bundle
from queen.redteam.protectee import Seen
from queen.redteam.target import Answers
from queen.redteam.traffic import Exchange, Traffic

_CHANGED = 1e-6
"""L1 distance over which an answer of a defence without verdicts counts as changed."""
_BATCH = 512


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
        self._shadows = EPOCH if cell.defense == QUEEN_EPOCH else STEPS

    @contextmanager
    def deployed(
        self, *, grouped: bool | None = None
    ) -> Iterator[InProcessTarget | BaselineTarget]:
        """A fresh deployment, with empty ledgers; its accounts `grouped` as the cell says."""
        cell, laboratory = self._cell, self._laboratory
        if not cell.is_ours:
            yield BaselineTarget(laboratory, laboratory.baseline(cell.defense))
            return
        bundle = laboratory.bundle(self._shadows)
        secret = secret_of(f"defender {cell.seed}")
        defended = self._defended(
            bundle.path, secret, grouped=cell.linked if grouped is None else grouped
        )
        with InProcessTarget(defended, laboratory.protectee(bundle)) as target:
            yield target

    def rehearse(self, twin: nn.Module, images: Images) -> Rehearsal:
        """What the recipe, under a secret of the thief's own, makes of his model's answers.

        Raises FitError where his model's labels of `images` (N, ...) leave out a class.
        """
        cell = self._cell
        identity = {
            "twin": weights_hash(twin),
            "images": images,
            "defense": [cell.defense, cell.profile, cell.budget, cell.seed],
            "code": answering_code(),
        }
        arrays = self._laboratory.cache.arrays(
            "rehearsal", identity, lambda: vars(self._rehearse(twin, images))
        )
        return Rehearsal(**arrays)  # type: ignore[arg-type]

    def _rehearse(self, twin: nn.Module, images: Images) -> Rehearsal:
        own = see_network(twin, images)
        labels = own.probabilities.argmax(axis=1)
        if not self._cell.is_ours:
            training = Training(self._cell.dataset, images, labels, own.probabilities, own.features)
            answer = DEFENSES[self._cell.defense].prepare(training, self._cell.seed + 1)
            defended = answer(Asked(images, own.probabilities, own.features))
            moved = np.abs(defended - own.probabilities).sum(axis=1)
            return Rehearsal(own.probabilities, defended, moved > _CHANGED)
        path = fitted_bundle(
            self._laboratory.cache, twin, images, labels, self._shadows, self._cell.seed
        )
        secret = secret_of(f"thief {self._cell.seed}")
        with InProcessTarget(self._defended(path, secret, grouped=False)) as target:
            defended = target.open_account("rehearsal").ask(images)
            traffic = target.traffic
        clean, flags = traffic.own, traffic.is_reversed
        assert clean is not None  # noqa: S101 - an in-process target knows both
        assert flags is not None  # noqa: S101
        return Rehearsal(clean, defended, flags)

    def _defended(self, path: Path, secret: bytes, *, grouped: bool) -> Defended:
        cell = self._cell
        return Defended(path, Profile(cell.profile or ""), cell.budget or 0, secret, grouped)


def see_network(network: nn.Module, images: Images) -> Seen:
    """Probabilities (N, C), logits (N, C) and features (N, D) of a network's own run.

    Its last module is the head. There are no embeddings: (N, 0).
    """
    *body, head = network.children()
    with torch.inference_mode():
        parts = [
            nn.Sequential(*body)(torch.from_numpy(images[start : start + _BATCH]))
            for start in range(0, len(images), _BATCH)
        ]
        features = torch.cat(parts)
        logits = head(features)
        probabilities = torch.softmax(logits.double(), dim=1).float()
    nothing = np.empty((len(images), 0), np.float32)
    return Seen(probabilities.numpy(), logits.numpy(), features.numpy(), nothing)


def secret_of(name: str) -> bytes:
    """A perturber's secret that a seed decides, so that a run can be repeated."""
    return hashlib.sha256(f"queen redteam {name}".encode()).digest()

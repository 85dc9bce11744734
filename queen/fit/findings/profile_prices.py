"""The price of every profile: its cost for honest accounts, and its effect on a thief.

The thief here is of the worst kind: they have the protectee's own backbone and train a small
head on the answers to its training samples. That takes seconds and ranks the profiles;
`queen redteam` measures real thieves.

Shapes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from queen.fit.findings.flips import shadow_probabilities
from queen.fit.fitted import Fitted
from queen.fit.progress import Update
from queen.fit.training.threads import one_thread
from queen.method.answers.decoy import make_decoy, sketch_inputs
from queen.method.answers.gradient_reverse import paper_answer
from queen.method.answers.misdirection import balanced_answer, partner_classes, safe_answer
from queen.method.contracts import BALANCED_L1, Profile

_THIEF_ROWS = 4000
_THIEF_STEPS = 600
_BATCH = 64
_PART = 256
# A stand-in: the deployment's own secret is the operator's, and not in a bundle.
_SECRET = b"price of a profile"

Answers = NDArray[np.float32]


@dataclass(frozen=True)
class ProfilePrice:
    """The price of a profile.

    `labels_changed` and `mean_l1` are of the answers of an account over its budget,
    `mean_l1_within` of an account within it; `thief_accuracy` is that of the thief's copy on
    held-out samples, if it is trained on the answers before the crossing, too. `refused` is the
    share of new queries over the budget that get no answer, and so are no part of these figures.
    """

    profile: str
    labels_changed: float
    mean_l1: float
    mean_l1_within: float
    thief_accuracy: float
    refused: float = 0.0


def price_profiles(fitted: Fitted, within_budget: int | None, update: Update) -> list[ProfilePrice]:
    """The price of every profile, in the order of `Profile`.

    `within_budget` is how many answers a thief gets before a threshold is crossed, None for all.
    """
    rng = np.random.default_rng([fitted.options.seed, 4])
    rows = rng.permutation(np.flatnonzero(~fitted.held_out))[:_THIEF_ROWS]
    answered = _AnsweredRows(fitted, rows, within_budget)
    prices = []
    for done, profile in enumerate(Profile, 1):
        prices.append(answered.price(profile))
        update(done, len(Profile))
    return prices


class _AnsweredRows:
    """The rows that the thief sends, and every profile's answers to them."""

    def __init__(self, fitted: Fitted, rows: NDArray[np.int64], within_budget: int | None) -> None:
        self._fitted = fitted
        self._rows = rows
        self._within_budget = len(rows) if within_budget is None else within_budget
        self._own = fitted.responses.probabilities[rows]
        self._partners = partner_classes("price of a profile", self._own.shape[1])

    def price(self, profile: Profile) -> ProfilePrice:
        """The price of a profile."""
        within, over = self._answers(profile)
        seen = np.concatenate([within[: self._within_budget], over[self._within_budget :]])
        is_refused = profile is Profile.REFUSE
        if is_refused:
            seen = within[: self._within_budget]
        return ProfilePrice(
            profile.value,
            round(float((over.argmax(axis=1) != self._own.argmax(axis=1)).mean()), 4),
            _mean_l1(over, self._own),
            _mean_l1(within, self._own),
            self._thief_accuracy(seen),
            float(is_refused),
        )

    def _answers(self, profile: Profile) -> tuple[Answers, Answers]:
        """Answers within the budget and over it, (N, C) each."""
        own = self._own
        over: dict[Profile, Callable[[], Answers]] = {
            Profile.PAPER: self._paper,
            Profile.SAFE: self._safe,
            Profile.BALANCED: lambda: balanced_answer(own, self._partners, BALANCED_L1),
            Profile.STRICT: self._decoy,
            # A refused query has no answer; the others have the protectee's label.
            Profile.REFUSE: lambda: own,
            Profile.OBSERVE: lambda: own,
        }
        answers = over[profile]()
        return (answers if profile is Profile.SAFE else own), answers

    def _paper(self) -> Answers:
        inputs, networks = self._fitted.shadow_inputs, self._fitted.shadows.networks
        parts = [inputs[rows] for rows in self._parts()]
        means = [shadow_probabilities(networks, part).mean(axis=0) for part in parts]
        mean = np.concatenate(means)
        p = torch.from_numpy(self._own.astype(np.float64))
        reversed_answers = paper_answer(p, torch.from_numpy(mean)).numpy()
        flagged = self._fitted.regions.inside[self._rows][:, None]
        return np.where(flagged, reversed_answers, self._own).astype(np.float32)

    def _safe(self) -> Answers:
        return safe_answer(self._own, self._own.argmax(axis=1), self._partners)

    def _decoy(self) -> Answers:
        decoy = make_decoy(_SECRET, "price of a profile", self._fitted.sketch_space)
        sketches = [sketch_inputs(self._fitted.samples.x[rows]) for rows in self._parts()]
        return decoy.answers(np.concatenate(sketches))

    def _parts(self) -> list[NDArray[np.int64]]:
        # All rows at once, in float64 and in every layer of a network, may not fit in memory.
        return [self._rows[first : first + _PART] for first in range(0, len(self._rows), _PART)]

    def _thief_accuracy(self, answers: Answers) -> float:
        """Accuracy on the held-out samples of a head trained on the first `answers`, (M, C)."""
        held, features = self._fitted.held_out, self._fitted.responses.features
        held = held if held.any() else ~held
        seed = self._fitted.options.seed
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = _train_head(features[self._rows[: len(answers)]], answers, seed)
            with torch.inference_mode():
                predicted = head(torch.from_numpy(features[held])).argmax(dim=1).numpy()
        return round(float((predicted == self._fitted.samples.y[held]).mean()), 4)


def _train_head(features: NDArray[np.float32], answers: Answers, seed: int) -> torch.nn.Module:
    wide, classes = features.shape[1], answers.shape[1]
    x, t = torch.from_numpy(features), torch.from_numpy(answers)
    head = torch.nn.Sequential(
        torch.nn.BatchNorm1d(wide, affine=False),
        *(torch.nn.Linear(wide, 64), torch.nn.ReLU(), torch.nn.Linear(64, classes)),
    )
    if not len(x):
        # A refusal from the first query on teaches nothing.
        return head.eval()
    optimizer = torch.optim.Adam(head.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(seed)
    # Without any answer the head stays as it is: all queries were refused.
    for _ in range(_THIEF_STEPS if len(x) else 0):
        batch = torch.randint(len(x), (min(_BATCH, len(x)),), generator=generator)
        loss = torch.nn.functional.cross_entropy(head(x[batch]), t[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return head.eval()


def _mean_l1(answers: Answers, own: Answers) -> float:
    return round(float(np.abs(answers - own).sum(axis=1).mean()), 4)

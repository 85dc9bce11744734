"""A defence's recipe tried on a model of the thief's own, under a secret of his own.

Shapes: C classes, N images, D feature width.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from queen.method.contracts import Profile
from queen.redteam.attacks import Rehearsal
from queen.redteam.datasets import Images
from queen.redteam.defenses import DEFENSES, Asked, Training
from queen.redteam.runs.cache import Cache, answering_code, weights_hash
from queen.redteam.runs.laboratory import fitted_bundle
from queen.redteam.targets.in_process import Defended, InProcessTarget
from queen.redteam.targets.protectee import Seen

_CHANGED = 1e-6
"""L1 distance over which an answer of a defence without verdicts counts as changed."""
_BATCH = 512


@dataclass(frozen=True)
class Recipe:
    """All that is public of a defence: everything but its secret and its private data.

    `shadows` names fit options of `queen.redteam.runs.laboratory.SHADOWS`; `profile` and
    `budget` are Queen's, None for a baseline.
    """

    dataset: str
    defense: str
    profile: str | None
    budget: int | None
    shadows: str
    seed: int


def rehearse(cache: Cache, recipe: Recipe, twin: nn.Module, images: Images) -> Rehearsal:
    """What the recipe makes of the twin's answers to `images` (N, ...), sent by one account.

    Raises FitError where the twin's labels of them leave out a class.
    """
    identity = {
        "twin": weights_hash(twin),
        "images": images,
        "recipe": vars(recipe),
        "code": answering_code(),
    }

    def compute() -> dict[str, np.ndarray]:
        own = see_network(twin, images)
        if recipe.profile is None:
            return vars(_rehearse_baseline(recipe, own, images))
        return vars(_rehearse_queen(cache, recipe, twin, own, images))

    arrays: dict[str, Any] = cache.arrays("rehearsal", identity, compute)
    return Rehearsal(**arrays)


def _rehearse_baseline(recipe: Recipe, own: Seen, images: Images) -> Rehearsal:
    labels = own.probabilities.argmax(axis=1)
    training = Training(recipe.dataset, images, labels, own.probabilities, own.features)
    answer = DEFENSES[recipe.defense].prepare(training, recipe.seed + 1)
    defended = answer(Asked(images, own.probabilities, own.features))
    moved = np.abs(defended - own.probabilities).sum(axis=1)
    return Rehearsal(own.probabilities, defended, moved > _CHANGED)


def _rehearse_queen(
    cache: Cache, recipe: Recipe, twin: nn.Module, own: Seen, images: Images
) -> Rehearsal:
    labels = own.probabilities.argmax(axis=1)
    path = fitted_bundle(cache, twin, images, labels, recipe.shadows, recipe.seed)
    profile, budget = Profile(recipe.profile or ""), recipe.budget or 0
    secret = secret_of(f"thief {recipe.seed}")
    with InProcessTarget(Defended(path, profile, budget, secret)) as target:
        defended = target.open_account("rehearsal").ask(images)
        clean, flags = target.traffic.own, target.traffic.is_reversed
    if clean is None or flags is None:
        raise ValueError("expected at least 1 image, got 0")
    return Rehearsal(clean, defended, flags)


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

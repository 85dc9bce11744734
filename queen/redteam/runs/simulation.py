"""A defense simulated on a model of the thief's own, by its recipe and another secret.

Shapes: C classes, N images, D feature width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from queen_inference.protectee import Outputs
from torch import nn

from queen.bundle import open_bundle
from queen.defaults import BREADTH, CLASS_CAP
from queen.method.contracts import Profile
from queen.redteam.attacks import Simulation
from queen.redteam.datasets import Images
from queen.redteam.defenses import DEFENSES, Asked, Training
from queen.redteam.runs.bundles import fitted_bundle
from queen.redteam.runs.cache import Cache, answering_code, weights_hash
from queen.redteam.targets.in_process import OperatorChoice, open_in_process, seeded_secret
from queen.redteam.targets.protectee import open_protectee

_CHANGED = 1e-6
"""L1 distance over which an answer of a defense without verdicts counts as changed."""
_BATCH = 512


@dataclass(frozen=True)
class Recipe:
    """The public part of a defense: everything but its secret and its private data.

    `shadows` is a key of `queen.redteam.runs.bundles.SHADOWS`; `profile`, `budget`, `breadth` and
    `class_cap` are Queen's, None for a baseline.
    """

    dataset: str
    defense: str
    profile: str | None
    budget: int | None
    shadows: str
    seed: int
    breadth: int | None = None
    class_cap: int | None = None


def simulate(cache: Cache, recipe: Recipe, twin: nn.Module, images: Images) -> Simulation:
    """The twin's answers to `images` (N, ...) of one account, defended by the recipe.

    Raises FitError where the twin's labels of them leave out a class.
    """
    identity = {
        "twin": weights_hash(twin),
        "images": images,
        "recipe": vars(recipe),
        "code": answering_code(),
    }

    def compute() -> dict[str, np.ndarray]:
        own = network_outputs(twin, images)
        if recipe.profile is None:
            return vars(_simulate_baseline(recipe, own, images))
        return vars(_simulate_queen(cache, recipe, twin, own, images))

    arrays: dict[str, Any] = cache.arrays("simulation", identity, compute)
    return Simulation(**arrays)


def _simulate_baseline(recipe: Recipe, own: Outputs, images: Images) -> Simulation:
    labels = own.probabilities.argmax(axis=1)
    training = Training(recipe.dataset, images, labels, own.probabilities, own.features)
    answer = DEFENSES[recipe.defense].prepare(training, recipe.seed + 1)
    defended = answer(Asked(images, own.probabilities, own.features))
    moved = np.abs(defended - own.probabilities).sum(axis=1)
    return Simulation(own.probabilities, defended, moved > _CHANGED)


def _simulate_queen(
    cache: Cache, recipe: Recipe, twin: nn.Module, own: Outputs, images: Images
) -> Simulation:
    labels = own.probabilities.argmax(axis=1)
    path = fitted_bundle(cache, twin, images, labels, recipe.shadows, recipe.seed)
    bundle = open_bundle(path)
    secret = seeded_secret(f"thief {recipe.seed}")
    choice = OperatorChoice(
        Profile(recipe.profile or ""),
        recipe.budget or 0,
        secret,
        breadth=recipe.breadth or BREADTH,
        class_cap=recipe.class_cap or CLASS_CAP,
    )
    with open_in_process(bundle, choice, open_protectee(bundle)) as target:
        defended = target.open_account("simulation").ask(images)
        clean, flags = target.traffic.own, target.traffic.is_reversed
    if clean is None or flags is None:
        raise ValueError("expected at least 1 image, got 0")
    return Simulation(clean, defended, flags)


def network_outputs(network: nn.Module, images: Images) -> Outputs:
    """Probabilities (N, C), logits (N, C) and features (N, D) of a network.

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
    return Outputs(probabilities.numpy(), logits.numpy(), features.numpy(), nothing)

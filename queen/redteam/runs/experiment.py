"""The experiment of one data set and seed: its protectee, bundles, baselines and pools.

They are trained and fitted once, and kept in a `Cache`. Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from queen.bundle import Bundle, open_bundle
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.augmentation import UNCHANGED, augmentation_for
from queen.redteam.datasets import Images, Labels, Split, load_split
from queen.redteam.defenses import DEFENSES, Answer, Training
from queen.redteam.learner import LEARNER, train_piracy_model
from queen.redteam.networks import (
    Regime,
    architecture,
    build_network,
    train_network,
    training_device,
)
from queen.redteam.pools import draw_pool
from queen.redteam.runs.bundles import STEPS, fitted_bundle
from queen.redteam.runs.cache import Cache, content_hash
from queen.redteam.targets.protectee import CachedProtectee, open_protectee

PROTECTEE_EPOCHS = {"digits": 60, "fashion-mnist": 8, "mnist": 6, "cifar10": 25}
_AUGMENTED = ("cifar10",)
"""Data sets whose protectees are trained with augmentation, as any operator would train them."""


class Experiment:
    """A data set, divided by a seed, with a protectee trained on its part."""

    def __init__(self, dataset: str, seed: int, cache: Cache, data_dir: Path | None = None) -> None:
        self.dataset = dataset
        self.seed = seed
        self.cache = cache
        self._data_dir = data_dir
        self._pools: dict[str, Images] = {}
        self._protectees: dict[str, CachedProtectee] = {}
        self._baselines: dict[str, Answer] = {}

    @cached_property
    def split(self) -> Split:
        """The data, in three parts."""
        return load_split(self.dataset, self.seed, self._data_dir)

    @cached_property
    def train_hash(self) -> str:
        """Hash of the protectee's training set."""
        return content_hash(self.split.train_x) + content_hash(self.split.train_y)

    @cached_property
    def network(self) -> nn.Module:
        """The protectee in Torch, as its operator trained it."""
        epochs = PROTECTEE_EPOCHS[self.dataset]
        identity = {
            "data": self.train_hash,
            "architecture": architecture(self.dataset),
            "epochs": epochs,
            "seed": self.seed,
        }
        return self.cache.network(
            "protectee", identity, build_network(self.dataset), lambda: self._train(epochs)
        )

    def bundle(self, shadows: str = STEPS) -> Bundle:
        """The fitted bundle, with shadow models of one of the kinds in SHADOWS."""
        x, y = self.split.train_x, self.split.train_y
        return open_bundle(fitted_bundle(self.cache, self.network, x, y, shadows, self.seed))

    def protectee(self, bundle: Bundle) -> CachedProtectee:
        """The protectee of a bundle, which remembers its outputs."""
        if bundle.digest not in self._protectees:
            self._protectees[bundle.digest] = open_protectee(bundle)
        return self._protectees[bundle.digest]

    @cached_property
    def plain_protectee(self) -> CachedProtectee:
        """The protectee of the usual bundle, for baselines and figures."""
        return self.protectee(self.bundle())

    @cached_property
    def test_labels(self) -> Labels:
        """The protectee's labels of the test set, (N,)."""
        outputs = self.plain_protectee.run(self.split.test_x)
        labels: Labels = outputs.probabilities.argmax(axis=1)
        return labels

    @cached_property
    def training(self) -> Training:
        """The protectee's training set, from which baselines learn."""
        split = self.split
        # The caching protectee is not used: the training images are never sent again.
        outputs = open_protectee(self.bundle()).run(split.train_x)
        return Training(
            self.dataset, split.train_x, split.train_y, outputs.probabilities, outputs.features
        )

    def baseline(self, name: str) -> Answer:
        """The answers of the baseline of that name, prepared once."""
        if name not in self._baselines:
            self._baselines[name] = DEFENSES[name].prepare(self.training, self.seed)
        return self._baselines[name]

    def pool(self, name: str) -> Images:
        """The images of that pool, (N, ...), in the thief's order."""
        if name not in self._pools:
            self._pools[name] = draw_pool(name, self.split, self.seed, self._data_dir)
        return self._pools[name]

    def train_copy(
        self, queries: Images, targets: NDArray[np.float32], *, salt: int = 0
    ) -> nn.Module:
        """The thief's copy, see `queen.redteam.attacks.base.TrainCopy`.

        Copies of the same answers are trained once: many defenses leave the labels alone,
        and many attacks begin with the same queries.
        """
        queries, targets = answered(queries, targets)
        seed = self.seed + 1009 * salt
        identity = {
            "queries": queries,
            "targets": targets,
            "architecture": architecture(self.dataset, 0.5),
            "learner": LEARNER,
            "seed": seed,
        }
        return self.cache.network(
            "copy",
            identity,
            build_network(self.dataset, 0.5),
            lambda: train_piracy_model(self.dataset, queries, targets, seed=seed),
        )

    def _train(self, epochs: int) -> nn.Module:
        torch.manual_seed(self.seed)
        is_augmented = self.dataset in _AUGMENTED
        return train_network(
            build_network(self.dataset),
            self.split.train_x,
            self.split.train_y,
            Regime(
                epochs,
                self.seed,
                device=training_device(self.dataset),
                augmentation=augmentation_for(self.dataset) if is_augmented else UNCHANGED,
            ),
        )

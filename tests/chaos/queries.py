"""The queries of a scenario: near training samples, and embeddings inside the regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from queen_inference.answers.fallback import protect_answers

from queen.bundle import open_bundle
from queen.method.answers.label_preserving import preserve_label
from queen.method.geometry import Geometry
from tests.bundles import SmallBundle

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
_NOISE = 0.6
_COPIES = 30
_APART = 1e-3
_SAME = 1e-6
"""Float32 answers of ours, computed twice in different ways, differ by less."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries (B, I) with the outputs of the protectee."""

    inputs: Array
    labels: Labels
    embeddings: Array
    probabilities: Array

    def select(self, rows: Labels) -> Asked:
        """Some of the queries."""
        return Asked(*(array[rows] for array in vars(self).values()))

    def kind_of(self, answers: Array) -> str:
        """The kind of answers (B, C): `verdict`, `protect` or `clean`.

        A clean row makes them clean; protect answers depend on the labels alone.
        """
        protected = protect_answers(self.labels, answers.shape[1])
        if np.abs(answers - protected).max() < _SAME:
            return "protect"
        is_clean = np.abs(answers - self.probabilities).max(axis=1) < _SAME
        return "clean" if is_clean.any() else "verdict"


class Questions:
    """Draws queries; `geometry` is that of the served bundle.

    Queries are training samples, each a little off, of which the defended answer is far
    enough from the clean one to tell the two apart.
    """

    def __init__(self, small: SmallBundle) -> None:
        self.geometry: Geometry = open_bundle(small.path).geometry
        self.digest = small.manifest.digest
        self._small = small
        rng = np.random.default_rng(0)
        inputs = np.repeat(small.inputs, _COPIES, axis=0)
        inputs += rng.normal(scale=_NOISE, size=inputs.shape).astype(np.float32)
        pool = self._asked(inputs)
        features, logits = small.model.features(inputs), small.model.logits(inputs)
        defended = preserve_label(small.model.head, logits, features)
        apart = np.abs(defended - pool.probabilities).max(axis=1)
        self._pool = pool.select(np.flatnonzero(apart > _APART))

    def at_the_door(self, rng: np.random.Generator, rows: int) -> Asked:
        """Queries (rows, I)."""
        return self._pool.select(rng.integers(len(self._pool.inputs), size=rows))

    def inside(self, rng: np.random.Generator, labels: Labels) -> Array:
        """Embeddings (B, E) inside the sensitive regions of classes (B,)."""
        width = self.geometry.embedding_width
        way = rng.normal(size=(len(labels), width))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        share = 0.98 * rng.random((len(labels), 1)) ** (1 / width)
        radius = self.geometry.sensitive_radius[labels][:, None]
        embeddings = self.geometry.cluster_centers[labels] + way * share * radius
        return np.asarray(embeddings, np.float32)

    def _asked(self, inputs: Array) -> Asked:
        logits = self._small.model.logits(inputs).astype(np.float64)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = raised / raised.sum(axis=1, keepdims=True)
        embeddings = self._small.model.embeddings(inputs)
        return Asked(inputs, logits.argmax(axis=1), embeddings, probabilities.astype(np.float32))

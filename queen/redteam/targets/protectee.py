"""The protectee run by the front door's own code, each image once.

Shapes: B images, C classes, D feature width, E embedding width.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from queen_inference.protectee import Protectee

from queen.bundle import Bundle
from queen.redteam.datasets import Images

_KEPT_ROWS = 200_000
"""Images whose outputs are kept, about 120 MB for a feature width of 128."""
_BATCH_ROWS = 256


@dataclass(frozen=True, eq=False)
class Seen:
    """What the protectee gives for B images: (B, C), (B, C), (B, D), (B, E) float32."""

    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    embeddings: NDArray[np.float32]

    def take(self, rows: NDArray[np.bool_]) -> Seen:
        """The outputs of some images."""
        return Seen(
            self.probabilities[rows], self.logits[rows], self.features[rows], self.embeddings[rows]
        )


class CachedProtectee:
    """Outputs by an image's content: many attacks on many defences send the same images.

    A row's outputs do not depend on the others of its batch (`queen_inference.protectee`
    sees to it), so that a remembered one has the bits of a fresh one.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._protectee = Protectee(bundle, threads=1, max_batch_rows=_BATCH_ROWS)
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def run(self, images: Images) -> Seen:
        """Outputs of images (B, ...), B of at least 1."""
        keys = [_key(image) for image in np.ascontiguousarray(images)]
        missing = {key: row for row, key in enumerate(keys) if key not in self._known}
        if len(self._known) + len(missing) > _KEPT_ROWS:
            self._known.clear()
            missing = {key: row for row, key in enumerate(keys)}
        if missing:
            self._remember(list(missing), images[list(missing.values())])
        return self._divide(np.stack([self._known[key] for key in keys]))

    def _remember(self, keys: list[bytes], images: Images) -> None:
        outputs = self._protectee.run(images)
        self._widths = [array.shape[1] for array in outputs.arrays()]
        for key, row in zip(keys, np.concatenate(outputs.arrays(), axis=1), strict=True):
            self._known[key] = row

    def _divide(self, rows: NDArray[np.float32]) -> Seen:
        parts = np.split(rows, np.cumsum(self._widths)[:-1], axis=1)
        return Seen(*(np.ascontiguousarray(part) for part in parts))


def _key(image: Images) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()

"""The protectee run by the front door's own code, with every image run only once.

Shapes: B images, C classes, D feature width, E embedding width.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from queen_inference.protectee import Outputs, Protectee

from queen.bundle import Bundle
from queen.redteam.datasets import Images

_KEPT_ROWS = 200_000
"""Images whose outputs are kept, about 120 MB for a feature width of 128."""
_BATCH_ROWS = 256


class CachedProtectee:
    """A protectee that remembers its outputs: many attacks send the same images.

    A row's outputs do not depend on the others of its batch (`queen_inference.protectee`
    ensures that), so a remembered row has the bits of a fresh row.
    """

    def __init__(self, protectee: Protectee, num_classes: int, kept_rows: int = _KEPT_ROWS) -> None:
        self.num_classes = num_classes
        self._protectee = protectee
        self._kept_rows = kept_rows
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self._widths: list[int] = []

    def run(self, images: Images) -> Outputs:
        """Outputs (B, C), (B, C), (B, D), (B, E) of images (B, ...), B of at least 1."""
        keys = [_key(image) for image in np.ascontiguousarray(images)]
        missing = {key: row for row, key in enumerate(keys) if key not in self._known}
        if len(self._known) + len(missing) > self._kept_rows:
            self._known.clear()
            missing = {key: row for row, key in enumerate(keys)}
        if missing:
            self._remember(list(missing), images[list(missing.values())])
        return self._divide(np.stack([self._known[key] for key in keys]))

    def _remember(self, keys: list[bytes], images: Images) -> None:
        arrays = self._protectee.run(images).arrays()
        self._widths = [array.shape[1] for array in arrays]
        for key, row in zip(keys, np.concatenate(arrays, axis=1), strict=True):
            self._known[key] = row

    def _divide(self, rows: NDArray[np.float32]) -> Outputs:
        parts = np.split(rows, np.cumsum(self._widths)[:-1], axis=1)
        return Outputs(*(np.ascontiguousarray(part) for part in parts))


def open_protectee(bundle: Bundle) -> CachedProtectee:
    """The protectee of a bundle, on one thread."""
    protectee = Protectee(bundle, threads=1, max_batch_rows=_BATCH_ROWS)
    return CachedProtectee(protectee, bundle.manifest.num_classes)


def _key(image: Images) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()

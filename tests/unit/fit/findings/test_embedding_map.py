import struct

import numpy as np
import pytest

from queen.fit.findings.embedding_map import draw_embedding_map
from queen.method.geometry import fit_geometry
from tests.unit.fit.blobs import blobs


@pytest.mark.parametrize(("classes", "width"), [(2, 1), (3, 2), (60, 2), (12, 3)])
def test_a_map_is_drawn_for_any_embedding(classes: int, width: int) -> None:
    """One axis, two or more, few classes or many: a PNG that can be looked at."""
    embeddings, labels = blobs(classes=classes, per_class=12, width=width)
    geometry = fit_geometry(embeddings, labels, classes)
    names = [f"class {label}" for label in range(classes)]
    picture = draw_embedding_map(geometry, embeddings, labels, names, "name")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    wide, high = struct.unpack(">II", picture[16:24])
    assert min(wide, high) > 600


def test_the_same_map_has_the_same_bytes() -> None:
    """Nothing of the clock is drawn or noted, and another map differs."""
    embeddings, labels = blobs(classes=3, per_class=12, width=2)
    geometry = fit_geometry(embeddings, labels, 3)
    names = ["ant", "bee", "cat"]
    once = draw_embedding_map(geometry, embeddings, labels, names, "name")
    assert once == draw_embedding_map(geometry, embeddings, labels, names, "name")
    assert once != draw_embedding_map(geometry, np.flip(embeddings), labels, names, "name")

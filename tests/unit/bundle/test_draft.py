from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from queen.bundle import DecoySpec, write_bundle
from queen.errors import BundleError
from queen.method.geometry import Geometry
from tests.unit.bundle.made import draft, geometry, manifest, meter, shadow, sketch_space


def test_parts_as_the_manifest_states_them_agree() -> None:
    """The small bundle of the tests does."""
    draft().require_agreement()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"manifest": manifest(feature_width=6)}, r"head weight: .* \(3, 6\), got \(3, 5\)"),
        ({"manifest": manifest(embedding_width=3)}, r"cluster centers: .* \(3, 3\), got \(3, 2\)"),
        ({"manifest": manifest(class_names=["a", "b"])}, "head weight"),
        ({"mean_squared_sqs": np.ones(2)}, r"mean squared sqs: .* \(3,\), got \(2,\)"),
        ({"shadows": [shadow(0)]}, "shadows: the manifest says 2, got 1"),
        ({"shadows": [shadow(i) for i in range(3)]}, "shadows: the manifest says 2, got 3"),
        (
            {"geometry": Geometry(geometry().cluster_centers, geometry().mean_radius, 2.0)},
            "alpha, beta, coverage fraction: the manifest says",
        ),
        (
            {"manifest": manifest(decoy=DecoySpec(sketch_width=5, rank=2, confidence=0.75))},
            r"sketch axes: .* \(5, 2\), got \(4, 2\)",
        ),
        (
            {"manifest": manifest(decoy=DecoySpec(sketch_width=4, rank=2, confidence=0.5))},
            "decoy confidence: the manifest says 0.5, got 0.75",
        ),
        (
            {"sketch_space": replace(sketch_space(), class_means=np.ones((2, 2), np.float32))},
            r"sketch class means: .* \(3, 2\), got \(2, 2\)",
        ),
        (
            {"meter": replace(meter(), tail_distance=np.ones(2))},
            r"tail distance: .* \(3,\), got \(2,\)",
        ),
        ({"meter": replace(meter(), limit=9.0)}, "meter rise, fall, limit: the manifest says"),
    ],
)
def test_parts_that_contradict_the_manifest_are_refused(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    """A dropped shadow or another shape is found when writing, not when serving."""
    with pytest.raises(BundleError, match=problem):
        write_bundle(tmp_path / "bundle", draft(**change))
    assert list(tmp_path.iterdir()) == []

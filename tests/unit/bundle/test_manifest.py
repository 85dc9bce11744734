from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from queen.bundle import (
    DecoySpec,
    GeometryParameters,
    InputRange,
    Manifest,
    MeterSpec,
    ShadowSpec,
    TensorSignature,
)
from tests.unit.bundle.made import geometry, manifest, meter, sketch_space

SHADOWS = {"on": "features", "architecture": "head", "input_shape": [5], "count": 2, "drawn": 1}
DECOY = {"sketch_width": 4, "rank": 2, "confidence": 0.75}
METER = {"rise": 1.5, "fall": 0.25, "limit": 10.0, "false_flags": {"1000": 0.001}}

RANGE = {"low": [0.0], "high": [1.0], "tolerance": 0.0}


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 4},
        {"queen_version": "0.2"},
        {"model_name": "other"},
        {"class_names": ["cat", "dog", "fish"]},
        {"feature_width": 6},
        {"embedding_width": 3},
        {"input": TensorSignature(name="x", datatype="FP64", shape=[-1, 4])},
        {"input": TensorSignature(name="x", datatype="FP32", shape=[-1, 5])},
        {"input_range": InputRange(low=[0.0], high=[1.0], tolerance=0.0)},
        {"geometry": GeometryParameters(alpha=1.0, beta=1.25, coverage_fraction=0.021)},
        {"shadows": ShadowSpec(**SHADOWS | {"drawn": 2})},
        {"decoy": DecoySpec(**DECOY | {"rank": 3})},
        {"decoy": DecoySpec(**DECOY | {"confidence": 0.76})},
        {"meter": MeterSpec(**METER | {"limit": 11.0})},
        {"meter": MeterSpec(**METER | {"false_flags": {"1000": 0.002}})},
        {"fit": {"seed": 2, "flip_rate": 0.75}},
        {"files": {"head.npz": "00"}},
    ],
)
def test_the_digest_changes_with_any_field(change: dict[str, Any]) -> None:
    """The digest is the bundle's name: two bundles that differ anywhere have two names."""
    assert manifest(**change).compute_digest() != manifest().compute_digest()


def test_every_field_is_in_the_table_above() -> None:
    """A field that is added later must be added to the test of the digest."""
    tested = {
        "schema_version", "queen_version", "model_name", "class_names", "feature_width",
        "embedding_width", "input", "input_range", "geometry", "shadows", "decoy", "meter", "fit",
        "files", "digest",
    }  # fmt: skip
    assert set(Manifest.model_fields) == tested


def test_the_digest_does_not_depend_on_itself_nor_on_order() -> None:
    """It is over the other fields, in canonical form."""
    one = manifest(digest="ab", fit={"a": 1, "b": 2.5})
    other = manifest(digest="cd", fit={"b": 2.5, "a": 1})
    assert one.compute_digest() == other.compute_digest()


def test_json_keeps_every_value_and_the_digest() -> None:
    """A manifest read back is the manifest written, to the last bit of each number."""
    written = manifest(fit={"rate": 0.1 + 0.2, "counts": [1, 2], "names": {"a": None, "b": True}})
    read = Manifest.model_validate_json(written.to_json())
    assert read == written
    assert read.compute_digest() == written.compute_digest()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"colour": "blue"}, "Extra inputs are not permitted"),
        ({"class_names": ["cat"]}, "at least 2 items"),
        ({"feature_width": 0}, "greater than or equal to 1"),
        ({"shadows": SHADOWS | {"count": 0, "drawn": 0}}, "greater than or equal to 1"),
        ({"shadows": SHADOWS | {"drawn": 3}}, "at most 2 shadows, got 3"),
        ({"shadows": SHADOWS | {"architecture": "forest"}}, "'head', 'mlp', 'cnn' or 'resnet'"),
        ({"shadows": SHADOWS | {"on": "logits"}}, "'inputs' or 'features'"),
        ({"input_range": RANGE | {"channel_axis": 2}}, "each channel of the input"),
        ({"input_range": RANGE | {"channel_axis": 1}}, "got 1 on axis 1"),
        ({"decoy": DECOY | {"rank": 0}}, "greater than or equal to 1"),
        ({"decoy": DECOY | {"sketch_width": 0}}, "greater than or equal to 1"),
        ({"decoy": DECOY | {"confidence": 0.0}}, "greater than 0"),
        ({"decoy": DECOY | {"confidence": 1.1}}, "less than or equal to 1"),
        ({"decoy": DECOY | {"confidence": float("nan")}}, "less than or equal to 1"),
        ({"meter": METER | {"limit": 0.0}}, "greater than 0"),
        ({"meter": METER | {"fall": float("nan")}}, "greater than 0"),
        ({"meter": METER | {"secret": "x"}}, "Extra inputs are not permitted"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(change: dict[str, Any], problem: str) -> None:
    """Unknown keys and impossible values are errors, not defaults."""
    with pytest.raises(ValidationError, match=problem):
        manifest(**change)


def test_a_nan_in_the_fit_report_is_read_as_null() -> None:
    """JSON has no NaN; the digest is over what can be read back."""
    written = manifest(fit={"rate": float("nan")})
    read = Manifest.model_validate_json(written.to_json())
    assert read.fit == {"rate": None}
    assert read.compute_digest() == written.compute_digest()


def test_a_manifest_does_not_change() -> None:
    """A bundle is immutable, and so is what describes it."""
    with pytest.raises(ValidationError, match="frozen"):
        manifest().model_name = "other"


def test_the_scalars_of_the_method_are_noted_as_they_are() -> None:
    """Geometry, decoys and meter by their own numbers."""
    assert GeometryParameters.of(geometry()) == manifest().geometry
    assert DecoySpec.of(sketch_space()) == manifest().decoy
    assert MeterSpec.of(meter(), {"1000": 0.001}) == manifest().meter

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from queen.bundle import Bundle, Manifest, open_bundle, write_bundle
from queen.errors import BundleCorrupt, BundleError, BundleNotFound, BundleVersionUnsupported
from tests.unit.bundle.made import (
    PROTECTEE,
    content,
    draft,
    geometry,
    head,
    meter,
    reseal,
    shadow,
    sketch_space,
)

FILES = [
    "protectee.onnx",
    "head.npz",
    "regions.npz",
    "decoy.npz",
    "shadows/00.safetensors",
    "shadows/01.safetensors",
]


@pytest.fixture(name="folder")
def written_bundle(tmp_path: Path) -> Path:
    """A small bundle, freshly written."""
    write_bundle(tmp_path / "bundle", draft())
    return tmp_path / "bundle"


def test_a_bundle_comes_back_as_it_was_written(folder: Path) -> None:
    """Every tensor bit by bit, and every number of the manifest."""
    bundle = open_bundle(folder)
    assert bundle.protectee_path.read_bytes() == PROTECTEE
    for name in ("weight", "bias", "feature_centers"):
        np.testing.assert_array_equal(getattr(bundle.head, name), getattr(head(), name))
    assert bundle.head.spread == 1.75
    assert bundle.geometry.digest == geometry().digest
    np.testing.assert_array_equal(bundle.mean_squared_sqs, [0.3, 0.4, 0.5])
    assert bundle.mean_squared_sqs.dtype == np.float64
    for name in ("mean", "axes", "class_means", "confidence"):
        written = getattr(sketch_space(), name)
        np.testing.assert_array_equal(getattr(bundle.sketch_space, name), written)
    np.testing.assert_array_equal(bundle.meter.tail_distance, meter().tail_distance)
    assert (bundle.meter.rise, bundle.meter.fall, bundle.meter.limit) == (1.5, 0.25, 10.0)
    for index in range(2):
        tensors = bundle.shadow(index)
        assert tensors.keys() == shadow(index).keys()
        for name, tensor in shadow(index).items():
            np.testing.assert_array_equal(tensors[name], tensor)
            assert tensors[name].shape == tensor.shape
            assert tensors[name].dtype == tensor.dtype
    assert bundle.manifest.fit == {"seed": 1, "flip_rate": 0.75}
    assert bundle.digest == bundle.manifest.compute_digest()


def test_a_path_may_be_text_and_the_report_may_be_anything(folder: Path) -> None:
    """Plots beside the bundle are outside its digest."""
    (folder / "report").mkdir()
    (folder / "report" / "map.png").write_bytes(b"not even a picture")
    assert open_bundle(str(folder)).path == folder


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_of_any_file_is_found(folder: Path, name: str) -> None:
    """At the start, the end and in between, with the sentence that names the file."""
    data = (folder / name).read_bytes()
    for offset in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
        broken = bytearray(data)
        broken[offset] ^= 1
        (folder / name).write_bytes(broken)
        with pytest.raises(BundleCorrupt, match=f"{name}: expected SHA-256"):
            open_bundle(folder)
    (folder / name).write_bytes(data)
    open_bundle(folder)


def test_one_flipped_bit_anywhere_in_the_manifest_is_found(folder: Path) -> None:
    """At every byte; in the schema version's own digit it reads as another version."""
    file = folder / "manifest.json"
    data = file.read_bytes()
    version = data.index(b'"schema_version": ') + len(b'"schema_version": ')
    for offset in range(len(data)):
        broken = bytearray(data)
        broken[offset] ^= 1
        file.write_bytes(broken)
        expected = BundleVersionUnsupported if offset == version else BundleCorrupt
        with pytest.raises(expected):
            open_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_found(folder: Path, name: str) -> None:
    """A copy that broke off is corrupt, the empty file included."""
    data = (folder / name).read_bytes()
    for size in (0, len(data) - 1):
        (folder / name).write_bytes(data[:size])
        with pytest.raises(BundleCorrupt):
            open_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", *FILES])
def test_a_missing_file_is_not_found(folder: Path, name: str) -> None:
    """The error names the file."""
    (folder / name).unlink()
    with pytest.raises(BundleNotFound, match=name):
        open_bundle(folder)


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """Nor is a file in the place of the folder a bundle."""
    with pytest.raises(BundleNotFound, match="no bundle here"):
        open_bundle(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleNotFound):
        open_bundle(tmp_path / "file")


def test_a_file_that_cannot_be_read_is_not_found(folder: Path) -> None:
    """The system's refusal becomes a sentence; a name beyond its limit stands for any."""
    with pytest.raises(BundleNotFound, match="cannot be read"):
        open_bundle(folder / ("x" * 5000))


@pytest.mark.parametrize("version", [0, 2, 4, "3", None, 1.5])
def test_another_schema_version_is_unsupported(folder: Path, version: Any) -> None:
    """Whatever else such a manifest holds, the version is what is told."""
    file = folder / "manifest.json"
    fields = json.loads(file.read_text()) | {"schema_version": version, "news": "of tomorrow"}
    file.write_text(json.dumps(fields))
    with pytest.raises(BundleVersionUnsupported, match=f"expected schema version 3, got {version}"):
        open_bundle(folder)


def test_a_bundle_without_decoy_and_meter_is_refused_in_words(folder: Path) -> None:
    """Bundles of the first schema must be refitted: the message says so, and names no field."""
    file = folder / "manifest.json"
    fields = json.loads(file.read_text()) | {"schema_version": 1}
    for name in ("decoy", "meter"):
        del fields[name]
    file.write_text(json.dumps(fields))
    (folder / "decoy.npz").unlink()
    with pytest.raises(BundleVersionUnsupported) as refused:
        open_bundle(folder)
    assert str(refused.value).endswith(
        "expected schema version 3, got 1; refit the bundle with this version of Queen"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '"manifest"', "{", "\udcff", "[" * 9999])
def test_a_file_that_is_no_manifest_is_corrupt(folder: Path, text: str) -> None:
    """Any other JSON, no JSON, and bytes that are not text."""
    (folder / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BundleCorrupt, match="not a manifest"):
        open_bundle(folder)


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = folder / "manifest.json"
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(model_name="other"),
        lambda fields: fields.update(digest="0" * 64),
        lambda fields: fields["geometry"].update(alpha=2.0),
        lambda fields: fields["class_names"].reverse(),
        lambda fields: fields["fit"].update(flip_rate=1.0),
        lambda fields: fields["files"].pop("shadows/01.safetensors"),
        lambda fields: fields.update(news="unknown key"),
        lambda fields: fields.pop("model_name"),
        lambda fields: fields["shadows"].update(drawn=9),
        lambda fields: fields["decoy"].update(confidence=0.5),
        lambda fields: fields["meter"].update(limit=1e6),
        lambda fields: fields.pop("meter"),
    ],
)
def test_an_edited_manifest_is_corrupt(
    folder: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    """No field can be changed by hand: a bundle is refitted, not edited."""
    _edit(folder, change)
    with pytest.raises(BundleCorrupt):
        open_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_must_list_every_file_that_services_read(folder: Path, name: str) -> None:
    """A digest that agrees does not make a bundle without one of its files whole."""
    old = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    files = {listed: digest for listed, digest in old.files.items() if listed != name}
    changed = old.model_copy(update={"files": files})
    changed = changed.model_copy(update={"digest": changed.compute_digest()})
    (folder / "manifest.json").write_text(changed.to_json())
    with pytest.raises(BundleCorrupt, match=f"it lists no {name}"):
        open_bundle(folder)


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _regions(**changes: Any) -> bytes:
    arrays = {
        "cluster_centers": geometry().cluster_centers,
        "mean_radius": geometry().mean_radius,
        "mean_squared_sqs": np.array([0.3, 0.4, 0.5]),
        "tail_distance": meter().tail_distance,
    }
    return _npz(**arrays | changes)


@dataclass(frozen=True)
class _Exploding:
    """Would leave a file behind if it were ever unpickled."""

    mark: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_a_pickled_object_is_refused_unread(folder: Path, tmp_path: Path) -> None:
    """A bundle whose every digest agrees still cannot make its reader run code."""
    mark = tmp_path / "was-here"
    objects = np.array([_Exploding(mark)] * 3, dtype=object)
    reseal(folder, "regions.npz", _regions(cluster_centers=objects))
    bundle = open_bundle(folder)
    with pytest.raises(BundleCorrupt, match=r"regions\.npz"):
        _ = bundle.geometry
    assert not mark.exists()


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (_regions(cluster_centers=np.ones((2, 2), np.float32)), lambda b: b.geometry),
        (_regions(cluster_centers=np.array([["a", "b"]] * 3)), lambda b: b.geometry),
        (_regions(mean_radius=np.array([1, 0, 1], np.float32)), lambda b: b.geometry),
        (_regions(mean_radius=np.array([1, np.nan, 1], np.float32)), lambda b: b.geometry),
        (_regions(mean_squared_sqs=np.array([0.3, np.nan, 0.5])), lambda b: b.mean_squared_sqs),
        (_regions(mean_squared_sqs=np.array([0.3, 0.0, 0.5])), lambda b: b.mean_squared_sqs),
        (_regions(mean_squared_sqs=np.array([0.3, 0.4])), lambda b: b.mean_squared_sqs),
        (_regions(tail_distance=np.array([1.0, np.nan, 4.0])), lambda b: b.meter),
        (_regions(tail_distance=np.array([1.0, np.inf, 4.0])), lambda b: b.meter),
        (_regions(tail_distance=np.array([1.0, 0.0, 4.0])), lambda b: b.meter),
        (_regions(tail_distance=np.array([1.0, 2.0])), lambda b: b.meter),
        (_npz(cluster_centers=geometry().cluster_centers), lambda b: b.meter),
        (_npz(other=np.ones(3)), lambda b: b.geometry),
        (b"not a zip", lambda b: b.geometry),
        (b"", lambda b: b.geometry),
    ],
)
def test_regions_that_a_writer_got_wrong_are_corrupt(
    folder: Path, data: bytes, read: Callable[[Bundle], object]
) -> None:
    """Text, other shapes, NaN: refused on reading, even if every digest agrees."""
    reseal(folder, "regions.npz", data)
    bundle = open_bundle(folder)
    with pytest.raises(BundleCorrupt, match=r"regions\.npz"):
        read(bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"spread": np.float64(0)},
        {"spread": np.ones(2)},
        {"bias": np.ones(4, np.float32)},
        {"weight": np.full((3, 5), np.nan, np.float32)},
        {"feature_centers": np.ones((3, 5), np.int64)},
    ],
)
def test_a_head_that_a_writer_got_wrong_is_corrupt(folder: Path, change: dict[str, Any]) -> None:
    """A head must fit the manifest and its own parts."""
    arrays = {
        "weight": head().weight,
        "bias": head().bias,
        "feature_centers": head().feature_centers,
        "spread": np.float64(1.0),
    }
    reseal(folder, "head.npz", _npz(**arrays | change))
    bundle = open_bundle(folder)
    with pytest.raises(BundleCorrupt, match=r"head\.npz"):
        _ = bundle.head


def _decoy(**changes: Any) -> bytes:
    arrays = {
        "sketch_mean": sketch_space().mean,
        "sketch_axes": sketch_space().axes,
        "sketch_class_means": sketch_space().class_means,
    }
    return _npz(**arrays | changes)


@pytest.mark.parametrize(
    "data",
    [
        _decoy(sketch_mean=np.full(4, np.nan, np.float32)),
        _decoy(sketch_axes=np.full((4, 2), np.inf, np.float32)),
        _decoy(sketch_class_means=np.full((3, 2), np.nan, np.float32)),
        _decoy(sketch_class_means=np.ones((2, 2), np.float32)),
        _decoy(sketch_axes=np.ones((4, 3), np.float32)),
        _decoy(sketch_axes=np.ones((4, 2), np.int64)),
        _npz(sketch_mean=np.ones(4, np.float32)),
        b"not a zip",
        b"",
    ],
)
def test_a_decoy_that_a_writer_got_wrong_is_corrupt(folder: Path, data: bytes) -> None:
    """NaN, other shapes, other types, nothing: refused on reading, even if every digest agrees."""
    reseal(folder, "decoy.npz", data)
    bundle = open_bundle(folder)
    with pytest.raises(BundleCorrupt, match=r"decoy\.npz"):
        _ = bundle.sketch_space


def test_a_shadow_that_is_none_is_corrupt(folder: Path) -> None:
    """A file that is no safetensors file, and a shadow that there is not."""
    reseal(folder, "shadows/01.safetensors", b"not tensors")
    bundle = open_bundle(folder)
    bundle.shadow(0)
    for index in (1, 2):
        with pytest.raises(BundleCorrupt, match="not a safetensors file"):
            bundle.shadow(index)


def test_every_error_of_reading_is_a_bundle_error() -> None:
    """One except clause is enough for a caller that only reports."""
    for error in (BundleNotFound, BundleCorrupt, BundleVersionUnsupported):
        assert issubclass(error, BundleError)


def test_reading_changes_nothing(folder: Path) -> None:
    """A bundle is immutable: opening it and using it all leaves every byte."""
    before = content(folder)
    bundle = open_bundle(folder)
    _ = bundle.geometry, bundle.head, bundle.mean_squared_sqs, bundle.shadow(0)
    _ = bundle.sketch_space, bundle.meter
    assert content(folder) == before


@pytest.mark.parametrize("name", ["../outside", "shadows/../../outside", "/etc/hostname", "a\0b"])
def test_a_file_outside_of_the_bundle_is_refused(folder: Path, name: str) -> None:
    """Whatever the manifest says: only what lies in the bundle stays as it was verified."""
    (folder.parent / "outside").write_bytes(b"anything")
    file = folder / "manifest.json"
    old = Manifest.model_validate_json(file.read_bytes())
    changed = old.model_copy(update={"files": old.files | {name: "0" * 64}})
    changed = changed.model_copy(update={"digest": changed.compute_digest()})
    file.write_text(changed.to_json())
    with pytest.raises(BundleCorrupt, match="files inside of the bundle, got one outside"):
        open_bundle(folder)


def test_a_link_out_of_the_bundle_is_refused(folder: Path) -> None:
    """Its content could change behind the digest; a bundle behind a link is as good as any."""
    (folder.parent / "link").symlink_to(folder)
    assert open_bundle(folder.parent / "link").digest == open_bundle(folder).digest
    (folder / "head.npz").rename(folder.parent / "head.npz")
    (folder / "head.npz").symlink_to(folder.parent / "head.npz")
    with pytest.raises(BundleCorrupt, match="not links to them"):
        open_bundle(folder)

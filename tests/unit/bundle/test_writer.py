from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from queen.bundle import open_bundle, write_bundle
from queen.errors import BundleError
from tests.unit.bundle.made import content, draft, manifest, shadow


def test_every_file_is_listed_with_its_digest(tmp_path: Path) -> None:
    """The manifest names all files but itself, with their SHA-256, and nothing else is there."""
    written = write_bundle(tmp_path / "bundle", draft())
    files = content(tmp_path / "bundle")
    listed = json.loads(files.pop("manifest.json"))
    assert listed["files"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }
    assert listed["digest"] == written.digest == written.compute_digest()
    assert set(files) == {
        "protectee.onnx",
        "head.npz",
        "regions.npz",
        "decoy.npz",
        "shadows/00.safetensors",
        "shadows/01.safetensors",
    }


def test_the_same_parts_make_the_same_tensors(tmp_path: Path) -> None:
    """Arrays and graphs have the same bytes however often they are written."""
    write_bundle(tmp_path / "one", draft())
    write_bundle(tmp_path / "two", draft())
    first, second = content(tmp_path / "one"), content(tmp_path / "two")
    for name in ("protectee.onnx", "shadows/00.safetensors", "shadows/01.safetensors"):
        assert first[name] == second[name]


def test_nothing_in_a_bundle_is_pickled(tmp_path: Path) -> None:
    """No file starts or contains what a pickle of NumPy would."""
    write_bundle(tmp_path / "bundle", draft())
    for data in content(tmp_path / "bundle").values():
        assert b"numpy.core" not in data
        assert b"numpy._core" not in data
        assert not data.startswith(b"\x80")


# The last of these files cannot be written, when all others have been.
_UNWRITABLE = [shadow(0), {"weight": np.array([object()])}]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """No bundle, no part of one, and no staging folder beside it."""
    with pytest.raises(Exception, match=r"."):
        write_bundle(tmp_path / "bundle", draft(shadows=_UNWRITABLE))
    assert list(tmp_path.iterdir()) == []


def test_a_replacement_that_fails_leaves_the_old_bundle(tmp_path: Path) -> None:
    """Byte for byte, and readable."""
    write_bundle(tmp_path / "bundle", draft())
    before = content(tmp_path)
    with pytest.raises(Exception, match=r"."):
        write_bundle(tmp_path / "bundle", draft(shadows=_UNWRITABLE), replace=True)
    assert content(tmp_path) == before
    open_bundle(tmp_path / "bundle")


def test_a_swap_that_fails_brings_the_old_bundle_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames of a replacement the old bundle must not be lost."""
    write_bundle(tmp_path / "bundle", draft())
    before = content(tmp_path)
    rename = Path.rename

    def fail_to_move_in(self: Path, target: Path) -> Path:
        if self.name == "bundle" and self.parent != tmp_path:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_to_move_in)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(tmp_path / "bundle", draft(protectee=b"another graph"), replace=True)
    assert content(tmp_path) == before


def test_an_existing_bundle_is_kept_unless_told(tmp_path: Path) -> None:
    """Without `replace` the write is refused before anything is changed."""
    write_bundle(tmp_path / "bundle", draft())
    before = content(tmp_path)
    with pytest.raises(BundleError, match="exists; remove it or allow it to be replaced"):
        write_bundle(tmp_path / "bundle", draft(protectee=b"another graph"))
    assert content(tmp_path) == before


def test_a_bundle_is_replaced_whole(tmp_path: Path) -> None:
    """Nothing of the old one stays behind, not even a shadow that the new one has not."""
    write_bundle(tmp_path / "bundle", draft())
    (tmp_path / "bundle" / "report").mkdir()
    one_shadow = manifest().shadows.model_copy(update={"count": 1})
    smaller = draft(manifest=manifest(shadows=one_shadow), shadows=[shadow(3)], protectee=b"new")
    written = write_bundle(tmp_path / "bundle", smaller, replace=True)
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.digest == written.digest
    assert "shadows/01.safetensors" not in content(tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "report").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_anything_but_a_bundle_is_never_replaced(tmp_path: Path, kind: str) -> None:
    """A folder or file of something else survives a mistyped --out with leave to replace."""
    other = tmp_path / "thesis"
    if kind == "folder":
        other.mkdir()
        (other / "chapter.tex").write_text("years of work")
    else:
        other.write_text("years of work")
    with pytest.raises(BundleError, match="is not a bundle, so it is not replaced"):
        write_bundle(other, draft(), replace=True)
    assert "years of work" in {data.decode() for data in content(tmp_path).values()}


def test_missing_parents_are_made(tmp_path: Path) -> None:
    """`--out a/b/bundle` needs no mkdir before it."""
    write_bundle(tmp_path / "a" / "b" / "bundle", draft())
    assert open_bundle(tmp_path / "a" / "b" / "bundle").manifest.model_name == "small"


def test_a_report_that_is_no_json_is_refused(tmp_path: Path) -> None:
    """A number of NumPy in it, most often; nothing is written then."""
    wrong = draft(manifest=manifest(fit={"rate": np.float32(1)}))
    with pytest.raises(BundleError, match="plain values in `fit`"):
        write_bundle(tmp_path / "bundle", wrong)
    assert list(tmp_path.iterdir()) == []

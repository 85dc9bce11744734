from pathlib import Path

from queen.bundle.layout import digested_files, is_bundle, shadow_file


def test_shadow_files_are_counted_from_0() -> None:
    """In two digits, more where there are more."""
    assert shadow_file(0) == "shadows/00.safetensors"
    assert shadow_file(123) == "shadows/123.safetensors"


def test_every_file_but_the_manifest_has_a_digest() -> None:
    """The files of docs/bundle-format.md, with a file for each shadow model."""
    assert digested_files(2) == [
        "protectee.onnx",
        "head.npz",
        "regions.npz",
        "decoy.npz",
        "shadows/00.safetensors",
        "shadows/01.safetensors",
    ]


def test_a_folder_with_a_manifest_is_a_bundle(tmp_path: Path) -> None:
    """Even a damaged one; an empty folder, a file and nothing at all are none."""
    assert not is_bundle(tmp_path)
    (tmp_path / "file").write_text("")
    assert not is_bundle(tmp_path / "file")
    assert not is_bundle(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text("{")
    assert is_bundle(tmp_path)

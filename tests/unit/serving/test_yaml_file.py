"""YAML files of an operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.yaml_file import read_yaml


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1\nb: 2", r"expected YAML \(line 2\)"),
        (b"\xff\xfe\x00", "expected YAML"),
        (b"!!python/object:os.system {}", "expected YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """The file is named, with the line where there is one, and no code in it runs."""
    (tmp_path / "file.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=words) as refusal:
        read_yaml(tmp_path / "file.yaml")
    assert str(tmp_path / "file.yaml") in str(refusal.value)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    """Neither a missing file nor a folder is taken for an empty one."""
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_yaml(path)

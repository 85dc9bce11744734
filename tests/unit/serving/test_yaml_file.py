"""YAML files of an operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.yaml_file import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1\nb: 2", r"expected YAML \(line 2\)"),
        (b"\xff\xfe\x00", "expected YAML"),
        (b"!!python/object:os.system {}", "expected YAML"),
        (b"!!timestamp 2025-02-30", "expected YAML"),
        (b"!!timestamp soon", "expected YAML"),
        (b"!!int ''", "expected YAML"),
        (b"[" * 5000, "expected YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """The file is named, with the line where there is one, and no code in it runs."""
    (tmp_path / "file.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=words) as refusal:
        read_yaml(tmp_path / "file.yaml")
    assert str(tmp_path / "file.yaml") in str(refusal.value)


@pytest.mark.parametrize("text", ["2025-02-03", "2025-02-30", "2025-02-03T04:05:06Z"])
def test_a_date_is_the_text_of_the_file(text: str) -> None:
    """Whether a calendar has the day or not: an account may have such an id."""
    assert parse_yaml(f"id: {text}".encode(), Path("file.yaml")) == {"id": text}


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    """Neither a missing file nor a folder is taken for an empty one."""
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_yaml(path)

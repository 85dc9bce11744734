"""The secret's file."""

from __future__ import annotations

from pathlib import Path

import pytest
from queen_perturber.secret import read_secret

from queen.errors import ConfigError


@pytest.mark.parametrize("size", [0, 15])
def test_a_short_secret_is_refused_with_the_way_to_make_one(tmp_path: Path, size: int) -> None:
    """The sentence says how long, how many there are and what to run, not what they are."""
    file = tmp_path / "secret"
    file.write_bytes(b"hunter2hunter2xx"[:size])
    with pytest.raises(ConfigError, match=f"at least 16 bytes, got {size}; make one with") as error:
        read_secret(file)
    assert "hunter" not in str(error.value)


def test_a_missing_secret_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(ConfigError, match=r"cannot read secret file .*missing.*make one with"):
        read_secret(tmp_path / "missing")


def test_a_secret_is_read_byte_for_byte(tmp_path: Path) -> None:
    """No byte is stripped, so replicas with the same file have the same secret."""
    (tmp_path / "secret").write_bytes(b"\n sixteen bytes \n")
    assert read_secret(tmp_path / "secret") == b"\n sixteen bytes \n"

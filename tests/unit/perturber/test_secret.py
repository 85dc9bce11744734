"""The secret's file."""

from __future__ import annotations

from pathlib import Path

import pytest
from queen_perturber.secret import Secrets, read_secret, read_secrets

from queen.errors import ConfigError
from queen.method.answers.fingerprint import fingerprint_of


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


FIRST, SECOND = b"the first secret of all", b"the second secret of all"


def test_the_current_secret_comes_before_the_retiring_one(tmp_path: Path) -> None:
    """No secret retires while its file is missing, empty, or the same as the current one."""
    current, retiring = tmp_path / "secret", tmp_path / "retiring"
    current.write_bytes(SECOND)
    assert read_secrets(current) == read_secrets(current, retiring) == Secrets(SECOND)
    for content in (b"", SECOND):
        retiring.write_bytes(content)
        assert read_secrets(current, retiring) == Secrets(SECOND)
    retiring.write_bytes(FIRST)
    secrets = read_secrets(current, retiring)
    assert secrets.fingerprints == [fingerprint_of(SECOND), fingerprint_of(FIRST)]
    assert list(secrets.by_fingerprint.values()) == [SECOND, FIRST]


def test_a_short_retiring_secret_is_refused(tmp_path: Path) -> None:
    """As a mistake in the file: owners would be answered under another secret than theirs."""
    (tmp_path / "secret").write_bytes(SECOND)
    (tmp_path / "retiring").write_bytes(b"short")
    with pytest.raises(ConfigError, match="got 5; put the former secret there"):
        read_secrets(tmp_path / "secret", tmp_path / "retiring")


def test_no_text_of_secrets_shows_a_secret() -> None:
    """Neither of the two, in a log or in a traceback."""
    text = repr(Secrets(SECOND, FIRST))
    assert "secret of all" not in text

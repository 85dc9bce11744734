"""PEM files, read and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.ports.pem import PemFiles, read_pems
from tests.certificates import LOOPBACK, Authority


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    """A missing file, another key, a text that is no certificate, and an encrypted key."""
    good = authority.issue("good", *LOOPBACK)
    other = authority.issue("other", *LOOPBACK)
    text = tmp_path / "text"
    text.write_text("no certificate")
    locked = tmp_path / "locked"
    locked.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    for files, words in (
        (replace(good, certificate=tmp_path / "gone"), "gone: expected a PEM file"),
        (
            replace(good, key=other.key),
            r"good\.crt: expected .*other\.key, got: KEY_VALUES_MISMATCH",
        ),
        (replace(good, key=locked), r"good\.crt: expected .*locked"),
        (replace(good, authorities=text), "text: expected a PEM file with certificates of auth"),
        (replace(good, authorities=tmp_path / "gone"), "gone: expected .* No such file"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_pems(files)


def test_the_bytes_of_files_that_fit_are_read(authority: Authority) -> None:
    """A file that is not stated is empty."""
    good = authority.issue("good", *LOOPBACK)
    assert good.certificate is not None
    pems = read_pems(good)
    assert pems.certificate == good.certificate.read_bytes()
    assert pems.authorities == authority.trusted.read_bytes()
    assert read_pems(PemFiles(authorities=authority.trusted)).key == b""

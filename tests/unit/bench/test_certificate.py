"""The certificate of a bench."""

from __future__ import annotations

import stat
from pathlib import Path

from queen.bench.certificate import write_certificate
from queen.serving.ports.pem import read_pems


def test_the_pair_fits_and_the_key_is_private(tmp_path: Path) -> None:
    """A server that reads it starts, and no other user of the machine reads the key."""
    files = write_certificate(tmp_path)
    pems = read_pems(files)
    assert pems.certificate == pems.authorities
    assert files.key is not None
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600

"""Authorities and certificates for a test, made by openssl, valid for a day or for none."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from queen.serving.ports.pem import PemFiles

LOOPBACK = ("IP:127.0.0.1", "DNS:localhost")
"""Names of a server on this machine."""
_FRESH_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Authority:
    """An authority whose files, and those of its certificates, lie in a folder of its own."""

    folder: Path

    @property
    def trusted(self) -> Path:
        """The authority's own certificate, which others trust."""
        return self.folder / "ca.crt"

    def issue(self, name: str, *names: str, days: int = 1) -> PemFiles:
        """A certificate with its key, for `names` such as DNS:door; -1 days for an expired one."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request = self.folder / f"{name}.csr"
        (self.folder / "names").write_text(f"subjectAltName={','.join(names)}\n")
        _openssl("req", "-subj", f"/CN={name}", *_FRESH_KEY, "-keyout", key, "-out", request)
        signing = ("-CA", self.trusted, "-CAkey", self.folder / "ca.key", "-CAcreateserial")
        words = ("-req", "-in", request, "-out", certificate, "-days", days)
        _openssl("x509", *words, *signing, "-extfile", self.folder / "names")
        return PemFiles(certificate, key, self.trusted)


def make_authority(folder: Path) -> Authority:
    """A new authority with its files in `folder`."""
    folder.mkdir(parents=True)
    words = ("-x509", "-subj", f"/CN={folder.name}", "-days", 2, *_FRESH_KEY)
    _openssl("req", *words, "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    return Authority(folder)


def replace_pair(files: PemFiles, fresh: PemFiles) -> None:
    """Put another certificate and its key at the paths of `files`, as a renewal does."""
    for path, other in ((files.certificate, fresh.certificate), (files.key, fresh.key)):
        assert path is not None
        assert other is not None
        draft = path.with_suffix(".new")
        draft.write_bytes(other.read_bytes())
        draft.replace(path)


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

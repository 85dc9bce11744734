"""Redis over TLS, with an authority that the test makes."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import Appended, open_redis_store

from queen.errors import ConfigError, DependencyUnavailable
from tests.contract.ledger_stores import PATIENT, append_of
from tests.redis_servers import free_port, redis_server


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and two certificates of it, `server` and `client`."""
    folder = tmp_path_factory.mktemp("keys")
    authority = ["-x509", "-subj", "/CN=test authority", "-days", "2"]
    _openssl(folder, "req", *authority, *_fresh_key("ca"), "-out", "ca.crt")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        _openssl(folder, "req", "-subj", f"/CN={name}", *_fresh_key(name), "-out", f"{name}.csr")
        signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
        words = ["-req", "-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", "names"]
        _openssl(folder, "x509", *words, *signing)
    return folder


def _fresh_key(name: str) -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    return [*curve, "-nodes", "-keyout", f"{name}.key"]


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def test_tls_with_a_client_certificate(keys: Path, tmp_path: Path) -> None:
    """Both sides are checked: with the authority and a certificate it works, without it fails."""
    port = free_port()
    words = ["--tls-port", str(port), "--tls-auth-clients", "yes"]
    for word, file in (("ca-cert", "ca.crt"), ("cert", "server.crt"), ("key", "server.key")):
        words += [f"--tls-{word}-file", str(keys / file)]
    trusting = replace(PATIENT, ca_file=keys / "ca.crt")
    known = replace(trusting, cert_file=keys / "client.crt", key_file=keys / "client.key")
    url = f"rediss://127.0.0.1:{port}"
    with redis_server(tmp_path, *words):
        store = open_redis_store(url, known)
        assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
        store.close()
        for options in (trusting, PATIENT):
            with pytest.raises(DependencyUnavailable, match="did not answer"):
                open_redis_store(url, options)
        # A name that the certificate does not have.
        with pytest.raises(DependencyUnavailable, match="did not answer"):
            open_redis_store(url.replace("127.0.0.1", "localhost"), known)


def test_tls_files_that_are_missing_or_useless_are_refused(tmp_path: Path) -> None:
    """The refusal names a missing file, or the scheme that a certificate needs."""
    options = replace(PATIENT, ca_file=tmp_path / "ca.crt")
    with pytest.raises(ConfigError, match=r"ca\.crt: expected a PEM file"):
        open_redis_store("rediss://127.0.0.1:1", options)
    with pytest.raises(ConfigError, match="expected rediss://"):
        open_redis_store("redis://127.0.0.1:1", options)

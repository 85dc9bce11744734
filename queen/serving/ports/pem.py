"""PEM files: a certificate with its key, and authorities, read and checked."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from queen.errors import ConfigError


@dataclass(frozen=True)
class PemFiles:
    """Paths of a certificate chain with its key, and of the authorities that sign the others.

    A server has a pair, and authorities if its callers must show a certificate. A channel has
    authorities, and a pair if it shows one.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are stated."""
        return tuple(
            path for path in (self.certificate, self.key, self.authorities) if path is not None
        )


@dataclass(frozen=True)
class Pems:
    """The bytes of PEM files that fit together; empty for a file that is not stated."""

    certificate: bytes
    key: bytes
    authorities: bytes


def read_pems(files: PemFiles) -> Pems:
    """The bytes of `files`; ConfigError if one cannot be used, or the key is another's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.certificate is not None:
        _require_pair(context, files.certificate, files.key)
    if files.authorities is not None:
        _require_authorities(context, files.authorities)
    return Pems(_bytes(files.certificate), _bytes(files.key), _bytes(files.authorities))


def _require_pair(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    wanted = f"{certificate}: expected a PEM file with a certificate, and its key in {key}"
    # With an empty password OpenSSL refuses an encrypted key, instead of asking at the terminal.
    load: Callable[[], None] = lambda: context.load_cert_chain(certificate, key, password="")  # noqa: E731
    _refused(load, wanted)


def _require_authorities(context: ssl.SSLContext, authorities: Path) -> None:
    wanted = f"{authorities}: expected a PEM file with certificates of authorities"
    _refused(lambda: context.load_verify_locations(authorities), wanted)


def _refused(load: Callable[[], None], wanted: str) -> None:
    try:
        load()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{wanted}, got: {reason}") from error


def _bytes(path: Path | None) -> bytes:
    try:
        return b"" if path is None else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error

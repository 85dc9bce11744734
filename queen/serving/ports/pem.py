"""TLS by PEM files: the credentials of a server and of a channel, which follow their files."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from queen.errors import ConfigError
from queen.serving.metrics import Metrics
from queen.serving.ports.followed import Followed


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


def server_credentials(files: PemFiles, metrics: Metrics | None = None) -> grpc.ServerCredentials:
    """Credentials of a server whose callers must show a certificate if `files` have authorities.

    gRPC asks for the files at every handshake, so a changed file is in force with the next
    connection; connections that exist stay. There is no third way: without authorities gRPC asks
    callers for no certificate at all. Raises ConfigError for files that cannot be used now.
    """
    followed = Followed(files.paths, lambda: read_pems(files), metrics)
    in_force = followed.fresh()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """The files, if they are others than at the handshake before."""
        nonlocal in_force
        latest = followed.fresh()
        if latest == in_force:
            return None
        in_force = latest
        return _configuration(latest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(in_force),
        changed,  # type: ignore[arg-type] # None, for no change, is documented and not in the stubs
        files.authorities is not None,
    )


def channel_credentials(pems: Pems) -> grpc.ChannelCredentials:
    """Credentials of a channel that trusts the authorities and shows the pair, if there is one."""
    parts = (pems.authorities, pems.key, pems.certificate)
    return grpc.ssl_channel_credentials(*(part or None for part in parts))


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pems.key, pems.certificate)], pems.authorities or None
    )


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

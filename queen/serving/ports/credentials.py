"""TLS by PEM files: the credentials of a server, which follow their files, and of a channel."""

from __future__ import annotations

import grpc

from queen.serving.lasting.followed import Followed
from queen.serving.metrics import Metrics
from queen.serving.ports.pem import PemFiles, Pems, read_pems


def server_credentials(files: PemFiles, metrics: Metrics | None = None) -> grpc.ServerCredentials:
    """Credentials of a server whose callers must show a certificate if `files` have authorities.

    gRPC asks for the files at every handshake, so a changed file is in force with the next
    connection; connections that exist stay. There is no third way: without authorities gRPC asks
    callers for no certificate at all. Raises ConfigError for files that cannot be used now.
    """
    followed = Followed(files.paths, lambda: read_pems(files), "tls", metrics)
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

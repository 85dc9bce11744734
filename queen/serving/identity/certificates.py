"""Names in a client certificate, as gRPC shows them to a servicer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

AuthContext = Mapping[str, Iterable[bytes]]
"""`context.auth_context()`: properties of the connection that a call came over."""
NO_CONTEXT: AuthContext = {}
_NAMES = "x509_subject_alternative_name"


def alternative_names(peer: AuthContext) -> list[str]:
    """Subject alternative names of the verified client certificate; empty without one.

    The common name is left out: certificate authorities do not vouch for it as they do for the
    alternative names. A name that is no text is left out, too, since no accounts file can state it.
    """
    names = []
    for name in peer.get(_NAMES, ()):
        try:
            names.append(name.decode("utf-8"))
        except UnicodeDecodeError:
            continue
    return names


def auth_context_of(context: Any) -> AuthContext:
    """The auth context of a servicer's context; an empty one in a process without a transport."""
    read = getattr(context, "auth_context", None)
    return NO_CONTEXT if read is None else read()

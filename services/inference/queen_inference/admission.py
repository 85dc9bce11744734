"""Admission to the methods of the front door: which of them need a credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from queen.serving.auth import Account, Metadata
from queen.serving.identity.certificates import AuthContext, auth_context_of

METADATA_METHODS = frozenset({"ServerMetadata", "ModelMetadata", "ServerReflectionInfo"})
"""Methods that describe the server; of a stranger only where they are not private."""

Authenticate = Callable[[Metadata, AuthContext], Account]


class Admission:
    """Asks for a credential before anything else of a call is read.

    ModelInfer always needs one. With `private_metadata` the methods that describe the server and
    its model need one as well, reflection included. Liveness and readiness need none.
    """

    def __init__(self, authenticate: Authenticate, *, private_metadata: bool) -> None:
        self._authenticate = authenticate
        self._needy = {"ModelInfer", *(METADATA_METHODS if private_metadata else ())}

    def admit(self, method: str, context: Any) -> Account | None:
        """The account of a call of a method, None for a method that needs no credential.

        Raises Unauthenticated or PermissionDenied for a credential that opens no account.
        """
        if method not in self._needy:
            return None
        return self._authenticate(context.invocation_metadata(), auth_context_of(context))

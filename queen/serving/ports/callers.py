"""Callers by the names of their certificates, and the callers that an inner service admits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from queen.errors import PermissionDenied
from queen.serving.identity.certificates import alternative_names, auth_context_of
from queen.serving.logging import account_hash


@dataclass(frozen=True)
class InnerCaller:
    """A process that calls an inner service, by the hash of its certificate's names."""

    hash: str


class AdmittedCallers:
    """Admits callers whose certificate has one of some subject alternative names.

    The handshake has found each caller's certificate to be signed by an authority that the service
    trusts; which of its certificates may call is said here.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def admit(self, _method: str, context: Any) -> InnerCaller:
        """The caller of a call; PermissionDenied for a certificate without such a name."""
        names = names_of(context)
        if self._names.isdisjoint(names):
            raise PermissionDenied(
                "expected a certificate with a name that may call this service, got another",
                reason="CALLER_NOT_ADMITTED",
            )
        return InnerCaller(account_hash(",".join(sorted(names))))


def names_of(context: Any) -> frozenset[str]:
    """The subject alternative names of the caller's certificate, such as a host or a URI.

    Empty for a caller that showed none.
    """
    return frozenset(alternative_names(auth_context_of(context)))


def read_names(text: str) -> frozenset[str]:
    """The names in a setting, between commas."""
    return frozenset(filter(None, (name.strip() for name in text.split(","))))

"""The methods of the front door that need a credential."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from queen_inference.servicer import METADATA_METHODS, Admission

from queen.errors import PermissionDenied, Unauthenticated
from queen.method.contracts import Profile
from queen.serving.accounts import AccountEntry, AccountsFile
from queen.serving.auth import Keyring, key_digest

OPEN = ("ServerLive", "ServerReady", "ModelReady")


@dataclass
class Context:
    """The parts of a gRPC context that are read before a message is."""

    metadata: tuple[tuple[str, str], ...] = ()
    names: list[bytes] = field(default_factory=list)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """The value that the test has set."""
        return self.metadata

    def auth_context(self) -> dict[str, list[bytes]]:
        """The value that the test has set."""
        return {"x509_subject_alternative_name": self.names}


def admission(*, private_metadata: bool) -> Admission:
    """Admission of one account, with a key and a certificate."""
    entry = AccountEntry(id="alice", key_sha256=key_digest("key"), san=["alice.test"])
    keyring = Keyring(AccountsFile(accounts=[entry]), Profile.SAFE)
    return Admission(keyring.authenticate, private_metadata=private_metadata)


@pytest.mark.parametrize("private_metadata", [False, True])
def test_inference_needs_a_credential(private_metadata: bool) -> None:
    """A key or a certificate; liveness and readiness need none in any case."""
    door = admission(private_metadata=private_metadata)
    key = Context((("authorization", "Bearer key"),))
    for context in (key, Context(names=[b"alice.test"])):
        account = door.admit("ModelInfer", context)
        assert account is not None
        assert account.account_id == "alice"
    with pytest.raises(Unauthenticated):
        door.admit("ModelInfer", Context())
    with pytest.raises(PermissionDenied):
        door.admit("ModelInfer", Context(names=[b"bob.test"]))
    assert [door.admit(method, Context()) for method in OPEN] == [None] * 3


@pytest.mark.parametrize("method", sorted(METADATA_METHODS))
def test_metadata_need_one_where_they_are_private(method: str) -> None:
    """A stranger learns neither the model's name nor the services."""
    assert admission(private_metadata=False).admit(method, Context()) is None
    door = admission(private_metadata=True)
    with pytest.raises(Unauthenticated):
        door.admit(method, Context())
    assert door.admit(method, Context((("authorization", "Bearer key"),))) is not None


@pytest.mark.parametrize("method", [*OPEN, "ModelMetadata", "Check"])
def test_a_credential_that_is_shown_counts(method: str) -> None:
    """Its account has a share of its own; a wrong one is a stranger's."""
    door = admission(private_metadata=False)
    account = door.admit(method, Context((("authorization", "Bearer key"),)))
    assert account is not None
    assert account.account_id == "alice"
    assert door.admit(method, Context((("authorization", "Bearer lock"),))) is None
    assert door.admit(method, Context(names=[b"bob.test"])) is None

"""Authentication: the account of a credential, from a file that may change at any time."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import time

from queen.errors import PermissionDenied, Unauthenticated
from queen.method.contracts import Profile
from queen.method.crossing import UNSTATED, CrossingPolicy
from queen.owners import ACCOUNT_ID, GROUP_NAME, group_owner
from queen.serving.accounts import AccountEntry, AccountsFile
from queen.serving.identity.certificates import NO_CONTEXT, AuthContext, alternative_names
from queen.serving.identity.tokens import Subject, TokenVerifier
from queen.serving.logging import account_hash

_SCHEME = "bearer "
_TOKEN_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)

Metadata = Iterable[tuple[str, str | bytes]] | None


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a request is charged to, with its policy.

    The settings of the sensitivity service decide what its crossing policies do not state.
    """

    account_id: str
    profile: Profile
    hash: str
    """Name of the account in logs."""
    group: str | None = None
    """The group whose accounts are charged together; None if it is in no group."""
    crossing: CrossingPolicy = UNSTATED
    group_crossing: CrossingPolicy = UNSTATED
    is_exempt: bool = False
    """Whether the account is charged like any other and never reversed."""

    @property
    def owner(self) -> str:
        """The owner of the account's turns and of its place: its group, or the account itself.

        Accounts of one group share ledgers, so one replica holds them all.
        """
        return group_owner(self.group) if self.group else self.account_id


@dataclass(frozen=True, slots=True)
class _Key:
    digest: str
    account: Account
    expires: float
    """Seconds since the epoch."""


def key_digest(key: str) -> str:
    """Hex SHA-256 of a key, as accounts.yaml holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


class Keyring:
    """Finds the account of a call's credential; `swap` replaces all accounts at once.

    The credential is a key or a token in the metadata, or else a client certificate. It holds
    digests and no key: the key of a request is hashed on every request. Accounts that name no
    profile, and whose tier names none, get `default_profile`. Without `tokens` no token is
    accepted; a subject that no account lists is refused unless `admits_unlisted`. `clock` is in
    seconds since the epoch.
    """

    def __init__(
        self,
        accounts: AccountsFile,
        default_profile: Profile,
        *,
        tokens: TokenVerifier | None = None,
        admits_unlisted: bool = False,
        clock: Callable[[], float] = time,
    ) -> None:
        self._default_profile = default_profile
        self._tokens = tokens
        self._admits_unlisted = admits_unlisted
        self._clock = clock
        self.swap(accounts)

    def swap(self, accounts: AccountsFile) -> None:
        """Serve these accounts from now on."""
        # One assignment: a call meanwhile sees the accounts before or after, and no mixture.
        self._book = _Book(accounts, self._default_profile)

    def __len__(self) -> int:
        return len(self._book.ids)

    def admit(self, metadata: Metadata, peer: AuthContext = NO_CONTEXT) -> None:
        """Return for a call with the credential of any account; raise as `authenticate` does."""
        self.authenticate(metadata, peer)

    def authenticate(self, metadata: Metadata, peer: AuthContext = NO_CONTEXT) -> Account:
        """The account of the `authorization` header, or else of the client certificate of `peer`.

        Raises Unauthenticated for a credential that is missing or not genuine, and PermissionDenied
        for a genuine one that is no account's. Each cause has a reason of its own, and no message
        repeats any of the credential.
        """
        for name, value in metadata or ():
            if name == "authorization":
                return self._of_header(value)
        names = alternative_names(peer)
        if names:
            return self._book.account_of_certificate(names)
        raise _missing()

    def is_quick(self, metadata: Metadata) -> bool:
        """Whether `authenticate` has to verify no signature: that takes longer than all else."""
        if self._tokens is None:
            return True
        headers = [str(value) for name, value in metadata or () if name == "authorization"]
        credential = headers[0][len(_SCHEME) :].strip() if headers else ""
        return not _TOKEN_FORM.fullmatch(credential) or self._tokens.remembers(credential)

    def _of_header(self, header: str | bytes) -> Account:
        if isinstance(header, bytes) or header[: len(_SCHEME)].lower() != _SCHEME:
            raise _missing()
        credential = header[len(_SCHEME) :].strip()
        if not credential:
            raise _missing()
        digest = key_digest(credential)
        book = self._book
        key = book.keys.get(digest)
        # The lookup is by SHA-256, which a caller cannot steer byte by byte, and the comparison
        # needs the same time for every outcome.
        if hmac.compare_digest(key.digest if key else "", digest) and key is not None:
            if self._clock() >= key.expires:
                raise Unauthenticated(
                    "expected a key that has not expired, got an expired one; ask the operator",
                    reason="CREDENTIAL_EXPIRED",
                )
            return key.account
        if self._tokens is not None and _TOKEN_FORM.fullmatch(credential):
            subject = self._tokens.verify(credential)
            return book.account_of_subject(subject, admits_unlisted=self._admits_unlisted)
        raise Unauthenticated(
            "expected the key of a known account, got another", reason="CREDENTIAL_UNKNOWN"
        )


class _Book:
    """The accounts of a file, by each kind of credential."""

    def __init__(self, accounts: AccountsFile, default_profile: Profile) -> None:
        self._default_profile = default_profile
        self._groups = {group.id: group.crossing for group in accounts.groups}
        self._tiers = {tier.id: tier for tier in accounts.tiers}
        self._subjects = {entry.subject: entry for entry in accounts.accounts if entry.subject}
        self._names: dict[str, Account] = {}
        self.keys: dict[str, _Key] = {}
        self.ids = {entry.id for entry in accounts.accounts}
        for entry in accounts.accounts:
            account = self._account(entry.id, entry, entry.group, entry.tier)
            for key in entry.all_keys:
                digest = key.sha256.lower()
                expires = math.inf if key.expires is None else key.expires.timestamp()
                self.keys[digest] = _Key(digest, account, expires)
            self._names.update(dict.fromkeys(entry.san or (), account))

    def account_of_certificate(self, names: Sequence[str]) -> Account:
        """The account that lists one of the alternative names of a certificate."""
        accounts = {self._names[name] for name in names if name in self._names}
        if len(accounts) == 1:
            return accounts.pop()
        if accounts:
            raise PermissionDenied(
                f"expected a certificate with the names of 1 account, got {len(accounts)}",
                reason="CERTIFICATE_AMBIGUOUS",
            )
        raise PermissionDenied(
            "expected a client certificate that an account lists, or metadata 'authorization: "
            "Bearer KEY', got neither",
            reason="CERTIFICATE_UNLISTED",
        )

    def account_of_subject(self, subject: Subject, *, admits_unlisted: bool) -> Account:
        """The account of a token; its claims decide what the account's entry does not state."""
        entry = self._subjects.get(subject.name)
        if entry is None:
            self._require_free(subject.name, admits_unlisted=admits_unlisted)
        group = (entry and entry.group) or subject.group
        if group is not None and not re.fullmatch(GROUP_NAME, group):
            raise PermissionDenied(
                "expected a token whose group is one line of text, got another",
                reason="GROUP_REFUSED",
            )
        tier = (entry and entry.tier) or subject.tier
        if tier is not None and tier not in self._tiers:
            raise PermissionDenied(
                "expected a token of a tier that the service knows, got another",
                reason="TIER_UNKNOWN",
            )
        return self._account(entry.id if entry else subject.name, entry, group, tier)

    def _require_free(self, name: str, *, admits_unlisted: bool) -> None:
        if not admits_unlisted:
            raise PermissionDenied(
                "expected a token of a listed account, got another; ask the operator",
                reason="SUBJECT_UNLISTED",
            )
        # The id of an entry belongs to the credentials that the entry lists, and to no token.
        if name in self.ids or not re.fullmatch(ACCOUNT_ID, name):
            raise PermissionDenied(
                "expected a token whose account has a free name without spaces, got another",
                reason="SUBJECT_REFUSED",
            )

    def _account(
        self, account_id: str, entry: AccountEntry | None, group: str | None, tier_id: str | None
    ) -> Account:
        tier = self._tiers.get(tier_id or "")
        base = tier.crossing if tier else UNSTATED
        stated = (entry and entry.profile) or (tier and tier.profile)
        return Account(
            account_id,
            stated or self._default_profile,
            account_hash(account_id),
            group,
            entry.completed(base) if entry else base,
            self._groups.get(group or "", UNSTATED),
            entry is not None and entry.exempt,
        )


def _missing() -> Unauthenticated:
    return Unauthenticated(
        "expected metadata 'authorization: Bearer KEY', got no such credential",
        reason="CREDENTIAL_MISSING",
    )

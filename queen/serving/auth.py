"""Authentication: the account of a credential, from a file that may change at any time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, awatch

from queen.errors import ConfigError, Unauthenticated
from queen.method.contracts import Profile
from queen.method.crossing import UNSTATED, CrossingPolicy
from queen.serving.accounts import AccountEntry, AccountsFile, Check, read_accounts
from queen.serving.logging import account_hash, logger
from queen.serving.metrics import Metrics

_SCHEME = "bearer "
_MISSING = "expected metadata 'authorization: Bearer KEY', got no such credential"
_UNKNOWN = "expected the key of a known account, got another"
_WATCH_AGAIN_SECONDS = 5.0


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


_NO_ACCOUNT: tuple[str, Account | None] = ("", None)


def key_digest(key: str) -> str:
    """Hex SHA-256 of a key, as accounts.yaml holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


class Keyring:
    """Finds the account of a request's metadata; `swap` replaces all accounts at once.

    It holds digests and no key: the key of a request is hashed on every request. Accounts that
    name no profile get `default_profile`.
    """

    def __init__(self, accounts: AccountsFile, default_profile: Profile) -> None:
        self._default_profile = default_profile
        self.swap(accounts)

    def swap(self, accounts: AccountsFile) -> None:
        """Serve these accounts from now on."""
        crossings = {group.id: group.crossing for group in accounts.groups}
        self._by_digest: dict[str, tuple[str, Account | None]] = {
            entry.key_sha256.lower(): (entry.key_sha256.lower(), self._account(entry, crossings))
            for entry in accounts.accounts
        }

    def __len__(self) -> int:
        return len(self._by_digest)

    def authenticate(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Account:
        """The account whose key the `authorization` header holds; Unauthenticated if none."""
        for name, value in metadata or ():
            if name == "authorization":
                return self._verify(value)
        raise Unauthenticated(_MISSING)

    def _verify(self, header: str | bytes) -> Account:
        if isinstance(header, bytes) or header[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated(_MISSING)
        digest = key_digest(header[len(_SCHEME) :].strip())
        # The lookup is by SHA-256, which a caller cannot steer byte by byte, and the comparison
        # needs the same time for every outcome.
        known, account = self._by_digest.get(digest, _NO_ACCOUNT)
        if not hmac.compare_digest(known, digest) or account is None:
            raise Unauthenticated(_UNKNOWN)
        return account

    def _account(self, entry: AccountEntry, groups: Mapping[str, CrossingPolicy]) -> Account:
        return Account(
            entry.id,
            entry.profile or self._default_profile,
            account_hash(entry.id),
            entry.group,
            entry.crossing,
            groups.get(entry.group or "", UNSTATED),
            entry.exempt,
        )


@asynccontextmanager
async def watched_keyring(
    path: Path,
    default_profile: Profile,
    metrics: Metrics,
    check: Check = lambda _accounts: None,
) -> AsyncIterator[Keyring]:
    """A keyring that follows the file; if a new file is refused, the last good file stays."""

    def read() -> AccountsFile:
        return read_accounts(path, check)

    keyring = Keyring(read(), default_profile)
    metrics.config_loaded(ok=True)
    watcher = asyncio.create_task(_Follower(path, keyring, metrics, read).follow())
    try:
        yield keyring
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


class _Follower:
    """Reloads a keyring when its file changes."""

    def __init__(
        self, path: Path, keyring: Keyring, metrics: Metrics, read: Callable[[], AccountsFile]
    ) -> None:
        self._path = path.absolute()
        self._read = read
        self._keyring = keyring
        self._metrics = metrics
        self._log = logger("accounts")
        # Kubernetes swaps the link ..data that a mounted file points through.
        self._names = {path.name, "..data"}

    async def follow(self) -> None:
        while True:
            try:
                # The folder is watched, since editors and Kubernetes replace the file by a rename.
                async for _ in awatch(
                    self._path.parent, watch_filter=self._concerns, recursive=False, debounce=400
                ):
                    self._reload()
            except (OSError, RuntimeError) as error:
                self._log.warning("accounts file cannot be watched", problem=str(error))
                await asyncio.sleep(_WATCH_AGAIN_SECONDS)

    def _concerns(self, _change: Change, changed: str) -> bool:
        return Path(changed).name in self._names

    def _reload(self) -> None:
        try:
            self._keyring.swap(self._read())
        except ConfigError as error:
            self._metrics.config_loaded(ok=False)
            self._log.warning("accounts file refused, the last good one stays", problem=str(error))
            return
        self._metrics.config_loaded(ok=True)
        self._log.info("accounts file loaded", accounts=len(self._keyring))

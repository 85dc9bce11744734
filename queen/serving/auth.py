"""Accounts: who a credential belongs to, from a file that may change while we serve."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from watchfiles import Change, awatch

from queen.errors import ConfigError, Unauthenticated
from queen.method.contracts import Profile
from queen.owners import ACCOUNT_ID, GROUP_NAME, LONGEST_NAME
from queen.serving.logging import account_hash, logger
from queen.serving.metrics import Metrics
from queen.serving.settings import read_yaml

_SCHEME = "bearer "
_MISSING = "expected metadata 'authorization: Bearer KEY', got no such credential"
_UNKNOWN = "expected the key of a known account, got another"
_WATCH_AGAIN_SECONDS = 5.0
_GROUP_NAME = f"^{GROUP_NAME}$"


@dataclass(frozen=True, slots=True)
class Account:
    """Who is charged for a request, with the policy for it; None leaves it to the service."""

    account_id: str
    profile: Profile | None
    budget: int | None
    hash: str
    """How logs name the account."""
    group: str | None = None
    """Whose accounts are charged together; None for nobody's."""
    group_budget: int | None = None
    is_exempt: bool = False
    """Counted like any other, and never reversed."""


_NOBODY: tuple[str, Account | None] = ("", None)


class AccountEntry(BaseModel):
    """One account in accounts.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=f"^{ACCOUNT_ID}$")
    """Who is charged."""
    key_sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    """Hex SHA-256 of the key; the key itself is stored nowhere."""
    group: str | None = Field(None, min_length=1, max_length=LONGEST_NAME, pattern=_GROUP_NAME)
    """A name for the accounts of one customer, payment or network, which are charged together."""
    profile: Profile | None = None
    """How flagged queries are answered; the service's default if absent."""
    budget: int | None = Field(None, ge=1, lt=2**32)
    """Records of one class before reversal begins; the service's default if absent."""
    exempt: bool = False
    """Whether the account is counted and never reversed, whatever it has spent."""


class GroupEntry(BaseModel):
    """A group in accounts.yaml whose budget is not the service's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=_GROUP_NAME)
    """The name that accounts give as their group."""
    budget: int = Field(ge=1, lt=2**32)
    """Records of one class before reversal begins for all accounts of the group."""


class AccountsFile(BaseModel):
    """The content of accounts.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accounts: list[AccountEntry]
    groups: list[GroupEntry] = []


def key_digest(key: str) -> str:
    """Hex SHA-256 of a key, as accounts.yaml holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_accounts(path: Path) -> AccountsFile:
    """Parse and check accounts.yaml; ConfigError, in one sentence, for whatever is wrong.

    No message repeats a value of the file: a key written there by mistake stays unlogged.
    """
    content = read_yaml(path)
    try:
        parsed = AccountsFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(
            f"{path}: {_place(first['loc'])}{first['msg']}; expected 'accounts: [{{id, key_sha256, "
            "group, profile, budget, exempt}]', the last four optional, and 'groups: [{id, "
            "budget}]' if any; 'queen accounts new ID' makes an entry"
        ) from error
    _require_distinct(path, "id", [entry.id for entry in parsed.accounts])
    _require_distinct(path, "group id", [group.id for group in parsed.groups])
    _require_distinct(path, "key_sha256", [entry.key_sha256.lower() for entry in parsed.accounts])
    return parsed


class Keyring:
    """Finds the account of a request's metadata; `swap` replaces all accounts at once."""

    def __init__(self, accounts: AccountsFile) -> None:
        self.swap(accounts)

    def swap(self, accounts: AccountsFile) -> None:
        """Serve these accounts from now on; every remembered credential is forgotten."""
        budgets = {group.id: group.budget for group in accounts.groups}
        self._by_digest: dict[str, tuple[str, Account | None]] = {
            entry.key_sha256.lower(): (entry.key_sha256.lower(), _account(entry, budgets))
            for entry in accounts.accounts
        }
        self._by_header: dict[str | bytes, Account] = {}

    def __len__(self) -> int:
        return len(self._by_digest)

    def authenticate(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Account:
        """The account whose key the `authorization` header holds; Unauthenticated if none."""
        for name, value in metadata or ():
            if name == "authorization":
                return self._by_header.get(value) or self._verify(value)
        raise Unauthenticated(_MISSING)

    def _verify(self, header: str | bytes) -> Account:
        if isinstance(header, bytes) or header[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated(_MISSING)
        digest = key_digest(header[len(_SCHEME) :].strip())
        # The lookup is by SHA-256, which a caller cannot steer byte by byte, and the
        # comparison takes the same time for every outcome.
        known, account = self._by_digest.get(digest, _NOBODY)
        if not hmac.compare_digest(known, digest) or account is None:
            raise Unauthenticated(_UNKNOWN)
        # A key has many spellings, in case and spaces; the memory for them is bounded.
        if len(self._by_header) < 4 * len(self._by_digest):
            self._by_header[header] = account
        return account


Check = Callable[[AccountsFile], None]
"""Raises ConfigError for accounts that parse but cannot be served here."""


@asynccontextmanager
async def watched_keyring(
    path: Path, metrics: Metrics, check: Check = lambda _accounts: None
) -> AsyncIterator[Keyring]:
    """A keyring that follows the file; one that is refused leaves the last good one in force."""

    def read() -> AccountsFile:
        accounts = read_accounts(path)
        check(accounts)
        return accounts

    keyring = Keyring(read())
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
                # The folder, not the file: editors and Kubernetes replace it by a rename.
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


def _account(entry: AccountEntry, group_budgets: Mapping[str, int]) -> Account:
    return Account(
        entry.id,
        entry.profile,
        entry.budget,
        account_hash(entry.id),
        entry.group,
        group_budgets.get(entry.group or ""),
        entry.exempt,
    )


def _require_distinct(path: Path, field: str, values: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for number, value in enumerate(values, 1):
        if value in first:
            raise ConfigError(f"{path}: entries {first[value]} and {number} have the same {field}")
        first[value] = number


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the file, in words: ("accounts", 2, "id") is entry 3, id."""
    parts = [f"entry {part + 1}" if isinstance(part, int) else part for part in location]
    return f"{', '.join(parts)}: " if parts else ""

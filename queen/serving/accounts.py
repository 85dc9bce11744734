"""The accounts file: which accounts exist, with their credentials and their policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF, CrossingPolicy, read_cap
from queen.owners import ACCOUNT_ID, GROUP_NAME, LONGEST_NAME
from queen.serving.settings import ClassCap
from queen.serving.yaml_file import parse_yaml

_ACCOUNT_ID = f"^{ACCOUNT_ID}$"
_GROUP_NAME = f"^{GROUP_NAME}$"
_DIGEST = r"^[0-9a-fA-F]{64}$"
MOST_KEYS = 2
"""Keys of an account that work at a time: the old and the new one, while callers change over."""
_FORM = (
    "expected 'accounts: [{id, key_sha256 | keys: [{sha256, expires}] | subject | san: [NAME], "
    "group, tier, profile, budget, breadth, class_cap, exempt}]', all but id and a credential "
    "optional, 'groups: [{id, budget, breadth, class_cap}]' and 'tiers: [{id, profile, budget, "
    "breadth, class_cap}]' if any; 'queen accounts new ID' makes an entry"
)
_NO_ROOM = ": the regions of this bundle have no room for more records of a class"


class CrossingEntry(BaseModel):
    """The crossing policy of an owner, as far as accounts.yaml states it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    budget: int | None = Field(None, ge=1, lt=2**32)
    """Records of a class before it is crossed; the service's default if absent."""
    breadth: int | None = Field(None, ge=1, lt=2**32)
    """Crossed classes at which the owner is over its budget; the service's default if absent."""
    class_cap: ClassCap | None = None
    """Budgets of one class at which the owner is over as well, or off; the service's default if
    absent."""

    @property
    def crossing(self) -> CrossingPolicy:
        """The policy, with 0 for what is not stated."""
        class_cap = 0 if self.class_cap is None else read_cap(self.class_cap)
        return CrossingPolicy(self.budget or 0, self.breadth or 0, class_cap)

    def completed(self, base: CrossingPolicy) -> CrossingPolicy:
        """The policy, with what is not stated from another one."""
        return CrossingPolicy(
            *(own or other for own, other in zip(self.crossing, base, strict=True))
        )

    def require_room(self, largest: int) -> None:
        """ConfigError for a budget, or budgets of one class, above the `largest` of a bundle."""
        budget, _, class_cap = self.crossing
        if budget > largest:
            raise ConfigError(f"budget: expected at most {largest}, got {budget}{_NO_ROOM}")
        most = largest // max(budget, 1)
        if class_cap != CAP_OFF and class_cap > most:
            raise ConfigError(
                f"class_cap: expected at most {most} budgets, or off, got {class_cap}{_NO_ROOM}"
            )


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time of the years 1 to 9999 in UTC") from None


class KeyEntry(BaseModel):
    """A key of an account."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    sha256: str = Field(pattern=_DIGEST)
    """Hex SHA-256 of the key; the key itself is stored nowhere."""
    expires: Annotated[datetime, AfterValidator(_in_utc)] | None = None
    """When the key stops to work, in UTC unless it says otherwise; a date alone is its beginning.
    It never does if absent."""


class TierEntry(CrossingEntry):
    """A policy in accounts.yaml that accounts name, for instance by a claim of their tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=_GROUP_NAME)
    """The name that accounts give as their tier."""
    profile: Profile | None = None
    """Profile of the answers to flagged queries; the service's default if absent."""


class AccountEntry(CrossingEntry):
    """An account in accounts.yaml, with at least one credential."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=_ACCOUNT_ID)
    """The account that is charged."""
    key_sha256: str | None = Field(None, pattern=_DIGEST)
    """Hex SHA-256 of the account's only key, if that does not expire."""
    keys: Annotated[list[KeyEntry], Field(min_length=1, max_length=MOST_KEYS)] | None = None
    """Its keys in place of key_sha256: one or two, each with an expiry if it has one."""
    subject: str | None = Field(None, min_length=1, max_length=LONGEST_NAME)
    """The account's name in tokens, by the claim that the service reads accounts from."""
    san: Annotated[list[str], Field(min_length=1)] | None = None
    """Subject alternative names of client certificates, each as it stands there."""
    group: str | None = Field(None, min_length=1, max_length=LONGEST_NAME, pattern=_GROUP_NAME)
    """A name for the accounts of one customer, payment or network, which are charged together."""
    tier: str | None = Field(None, min_length=1, max_length=LONGEST_NAME)
    """The tier that decides what the entry itself does not state."""
    profile: Profile | None = None
    """Profile of the answers to flagged queries; the tier's or the service's default if absent."""
    exempt: bool = False
    """Whether the account is charged and never reversed, even over its budget."""

    @property
    def all_keys(self) -> Sequence[KeyEntry]:
        """The keys of the account in either form."""
        return [KeyEntry(sha256=self.key_sha256)] if self.key_sha256 else self.keys or []

    @model_validator(mode="after")
    def _require_credential(self) -> Self:
        if self.key_sha256 and self.keys:
            raise ValueError("key_sha256 or keys: expected one of them, got both")
        if not (self.all_keys or self.subject or self.san):
            raise ValueError("key_sha256, keys, subject or san: expected a credential, got none")
        return self


class GroupEntry(CrossingEntry):
    """A group in accounts.yaml whose crossing policy is not the service's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=_GROUP_NAME)
    """The name that accounts give as their group."""


class AccountsFile(BaseModel):
    """The content of accounts.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accounts: list[AccountEntry]
    groups: list[GroupEntry] = []
    tiers: list[TierEntry] = []

    @property
    def group_names(self) -> list[str]:
        """Names of groups, as often as the file states them."""
        own = [group.id for group in self.groups]
        return [*own, *(entry.group for entry in self.accounts if entry.group is not None)]

    def tier(self, name: str | None) -> TierEntry | None:
        """The tier of a name, None if there is none."""
        return next((tier for tier in self.tiers if tier.id == name), None)

    def crossing_of(self, entry: AccountEntry) -> CrossingPolicy:
        """The crossing policy of an entry, completed by its tier's."""
        tier = self.tier(entry.tier)
        return entry.crossing if tier is None else entry.completed(tier.crossing)

    def require_budgets(self, largest: int) -> None:
        """ConfigError, naming the entry, for a policy above the `largest` budget of a bundle."""
        stated: list[tuple[str, int, CrossingEntry]] = [
            *(("entry", at, entry) for at, entry in enumerate(self.accounts, 1)),
            *(("group", at, group) for at, group in enumerate(self.groups, 1)),
            *(("tier", at, tier) for at, tier in enumerate(self.tiers, 1)),
        ]
        for kind, position, entry in stated:
            try:
                entry.require_room(largest)
            except ConfigError as error:
                raise ConfigError(f"{kind} {position}, {error}") from error

    def require_distinct(self) -> None:
        """ConfigError for two entries with one name or one credential, and for unknown tiers."""
        entries = list(enumerate(self.accounts, 1))
        _require_distinct("id", [(at, entry.id) for at, entry in entries])
        _require_distinct("group id", list(enumerate((group.id for group in self.groups), 1)))
        _require_distinct("tier id", list(enumerate((tier.id for tier in self.tiers), 1)))
        keys = [(at, key.sha256.lower()) for at, entry in entries for key in entry.all_keys]
        _require_distinct("key_sha256", keys)
        _require_distinct("subject", [(at, e.subject) for at, e in entries if e.subject])
        _require_distinct("san", [(at, name) for at, e in entries for name in e.san or ()])
        tiers = {tier.id for tier in self.tiers}
        for position, entry in entries:
            if entry.tier is not None and entry.tier not in tiers:
                raise ConfigError(f"entry {position}, tier: expected a tier of the file, got none")


Check = Callable[[AccountsFile], None]
"""Raises ConfigError for accounts that parse but cannot be served here."""


def read_accounts(path: Path, check: Check = lambda _accounts: None) -> AccountsFile:
    """Parse and check accounts.yaml; ConfigError says in one sentence what is wrong.

    The sentence begins with the path, also if `check` raises it. No message repeats a value of
    the file: a key written there by mistake stays unlogged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_accounts(content, path, check)


def parse_accounts(
    content: bytes, path: Path, check: Check = lambda _accounts: None
) -> AccountsFile:
    """The accounts in the bytes of the file `path`, as `read_accounts` reads them."""
    value = parse_yaml(content, path)
    try:
        parsed = AccountsFile.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        problem = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path}: {_location(first['loc'])}{problem}; {_FORM}") from error
    try:
        parsed.require_distinct()
        check(parsed)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return parsed


def _require_distinct(field: str, values: Sequence[tuple[int, str]]) -> None:
    first: dict[str, int] = {}
    for entry, value in values:
        if value in first:
            raise ConfigError(f"entries {first[value]} and {entry} have the same {field}")
        first[value] = entry


def _location(steps: tuple[int | str, ...]) -> str:
    """Words for a location in the file: ("accounts", 2, "id") is "accounts, entry 3, id: "."""
    parts = [f"entry {step + 1}" if isinstance(step, int) else step for step in steps]
    return f"{', '.join(parts)}: " if parts else ""

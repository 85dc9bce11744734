"""The accounts file: which accounts exist, with the digests of their keys and their policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF, CrossingPolicy, read_cap
from queen.owners import ACCOUNT_ID, GROUP_NAME, LONGEST_NAME
from queen.serving.settings import ClassCap
from queen.serving.yaml_file import read_yaml

_ACCOUNT_ID = f"^{ACCOUNT_ID}$"
_GROUP_NAME = f"^{GROUP_NAME}$"
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


class AccountEntry(CrossingEntry):
    """An account in accounts.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=_ACCOUNT_ID)
    """The account that is charged."""
    key_sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    """Hex SHA-256 of the key; the key itself is stored nowhere."""
    group: str | None = Field(None, min_length=1, max_length=LONGEST_NAME, pattern=_GROUP_NAME)
    """A name for the accounts of one customer, payment or network, which are charged together."""
    profile: Profile | None = None
    """Profile of the answers to flagged queries; the service's default if absent."""
    exempt: bool = False
    """Whether the account is charged and never reversed, even over its budget."""


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

    def require_budgets(self, largest: int) -> None:
        """ConfigError, naming the entry, for a policy above the `largest` budget of a bundle."""
        stated: list[tuple[str, int, CrossingEntry]] = [
            *(("entry", at, entry) for at, entry in enumerate(self.accounts, 1)),
            *(("group", at, group) for at, group in enumerate(self.groups, 1)),
        ]
        for kind, position, entry in stated:
            try:
                entry.require_room(largest)
            except ConfigError as error:
                raise ConfigError(f"{kind} {position}, {error}") from error


Check = Callable[[AccountsFile], None]
"""Raises ConfigError for accounts that parse but cannot be served here."""


def read_accounts(path: Path, check: Check = lambda _accounts: None) -> AccountsFile:
    """Parse and check accounts.yaml; ConfigError says in one sentence what is wrong.

    The sentence begins with the path, also if `check` raises it. No message repeats a value of
    the file: a key written there by mistake stays unlogged.
    """
    content = read_yaml(path)
    try:
        parsed = AccountsFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(
            f"{path}: {_location(first['loc'])}{first['msg']}; expected 'accounts: [{{id, "
            "key_sha256, group, profile, budget, breadth, class_cap, exempt}]', all but the first "
            "two optional, and 'groups: [{id, budget, breadth, class_cap}]' if any; 'queen "
            "accounts new ID' makes an entry"
        ) from error
    _require_distinct(path, "id", [entry.id for entry in parsed.accounts])
    _require_distinct(path, "group id", [group.id for group in parsed.groups])
    _require_distinct(path, "key_sha256", [entry.key_sha256.lower() for entry in parsed.accounts])
    try:
        check(parsed)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return parsed


def _require_distinct(path: Path, field: str, values: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for entry, value in enumerate(values, 1):
        if value in first:
            raise ConfigError(f"{path}: entries {first[value]} and {entry} have the same {field}")
        first[value] = entry


def _location(steps: tuple[int | str, ...]) -> str:
    """Words for a location in the file: ("accounts", 2, "id") is "accounts, entry 3, id: "."""
    parts = [f"entry {step + 1}" if isinstance(step, int) else step for step in steps]
    return f"{', '.join(parts)}: " if parts else ""

"""The file accounts.yaml: entries that operators add, and the policies that it states."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from queen.errors import ConfigError
from queen.method.crossing import UNSTATED, CrossingPolicy, cap_text
from queen.owners import group_owner, is_group
from queen.printable import printable
from queen.serving.accounts import AccountEntry, AccountsFile, parse_accounts, read_accounts
from queen.serving.auth import key_digest
from queen.serving.yaml_file import parse_yaml

_ITEM = re.compile(r"^( *)- ", re.MULTILINE)
_EMPTY = re.compile(r"^accounts:[ \t]*\[\s*\][ \t]*(?=#|$)", re.MULTILINE)


@dataclass(frozen=True)
class Policies:
    """Accounts by id, and the crossing policies of accounts and groups that state any."""

    entries: Mapping[str, AccountEntry]
    crossings: Mapping[str, CrossingPolicy]

    def group(self, account_id: str) -> str | None:
        """The group of an account, None if it has none or is not known."""
        entry = self.entries.get(account_id)
        return entry.group if entry else None

    def words(self, owner: str) -> str:
        """Group, profile, exemption, breadth and class cap of an owner, as far as stated."""
        _, breadth, class_cap = self.crossings.get(owner, UNSTATED)
        crossing = [f"breadth {breadth}"] if breadth else []
        crossing += [f"class cap {cap_text(class_cap)}"] if class_cap else []
        if is_group(owner):
            return ", ".join(crossing)
        entry = self.entries.get(owner)
        if entry is None:
            return "no entry"
        stated = [group_owner(entry.group)] if entry.group else []
        stated += [f"tier {entry.tier}"] if entry.tier else []
        stated += [entry.profile.value] if entry.profile else []
        return ", ".join([*stated, *(["exempt"] if entry.exempt else []), *crossing])

    def is_exempt(self, owner: str) -> bool:
        """Whether the queries of an owner are never reversed, even over its budget."""
        entry = self.entries.get(owner)
        return entry is not None and entry.exempt


NO_POLICIES = Policies({}, {})


def policies_of(content: AccountsFile) -> Policies:
    """Policies of an accounts file."""
    crossings = {entry.id: content.crossing_of(entry) for entry in content.accounts}
    crossings |= {group_owner(group.id): group.crossing for group in content.groups}
    return Policies(
        {entry.id: entry for entry in content.accounts},
        {owner: crossing for owner, crossing in crossings.items() if any(crossing)},
    )


def new_key() -> str:
    """A key of 256 random bits, recognizable to scanners for leaked keys."""
    return f"queen_{secrets.token_urlsafe(32)}"


@dataclass(frozen=True)
class NewAccount:
    """An account to be written into the file: its id, its credentials and its policy."""

    account_id: str
    key: str | None = None
    """The key itself, of which the file gets the digest; None if it has other credentials."""
    expires: str | None = None
    """When the key stops to work, as the file states it."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the entry; those that are empty are left out."""

    def lines(self, indent: int = 2) -> str:
        """The YAML list entry."""
        stated: dict[str, Any] = {"id": self.account_id}
        if self.key is not None and self.expires is not None:
            stated["keys"] = [key_fields(key_digest(self.key), self.expires)]
        elif self.key is not None:
            stated["key_sha256"] = key_digest(self.key)
        stated |= self.policy
        return _entry({name: value for name, value in stated.items() if value}, indent)


def account_lines(account_id: str, key: str) -> str:
    """The YAML list entry of an account with a key and no policy of its own."""
    return NewAccount(account_id, key).lines()


def key_fields(sha256: str, expires: str | None = None) -> dict[str, str]:
    """A key in the list `keys` of an entry."""
    return {"sha256": sha256, **({} if expires is None else {"expires": expires})}


def group_lines(account_ids: Sequence[str], group: str) -> str:
    """The lines that put accounts into a group, for an operator to merge into their entries."""
    return "".join(_entry({"id": name, "group": group}, 2) for name in account_ids)


def appended(path: Path, account: NewAccount) -> str:
    """Text of the accounts file `path` with one more account, comments kept.

    A file that does not exist is created. Raises ConfigError for a text that is no accounts file,
    or that holds the id already.
    """
    if not path.exists():
        return "accounts:\n" + account.lines()
    known = [entry.id for entry in read_accounts(path).accounts]
    if account.account_id in known:
        name = printable(account.account_id)
        raise ConfigError(f"{path} has an account '{name}' already; choose another id")
    before = path.read_text(encoding="utf-8")
    item = _ITEM.search(before)
    head = before if known else _EMPTY.sub("accounts:", before, count=1)
    lines = account.lines(indent=len(item[1]) if item else 2)
    after = head + ("" if head.endswith("\n") else "\n") + lines
    if _ids(after, path) != [*known, account.account_id]:
        raise ConfigError(f"{path}: cannot append to a file of this form; add the lines by hand")
    parse_accounts(after.encode(), path)
    return after


def _entry(fields: Mapping[str, Any], indent: int) -> str:
    # A JSON text is valid YAML, for every character that an id may have.
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]
    return " " * indent + "- " + f"\n{' ' * (indent + 2)}".join(lines) + "\n"


def _ids(text: str, path: Path) -> list[str] | None:
    """Ids in a text, None if it is no longer an accounts file."""
    try:
        return [str(entry["id"]) for entry in parse_yaml(text.encode(), path)["accounts"]]
    except (ConfigError, KeyError, TypeError):
        return None

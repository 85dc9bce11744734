"""The file accounts.yaml: entries that operators add, and the policies that it states."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from queen.errors import ConfigError
from queen.method.crossing import UNSTATED, CrossingPolicy, cap_text
from queen.owners import group_owner, is_group
from queen.serving.accounts import AccountEntry, AccountsFile, read_accounts
from queen.serving.auth import key_digest

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
        stated += [entry.profile.value] if entry.profile else []
        return ", ".join([*stated, *(["exempt"] if entry.exempt else []), *crossing])

    def is_exempt(self, owner: str) -> bool:
        """Whether the queries of an owner are never reversed, even over its budget."""
        entry = self.entries.get(owner)
        return entry is not None and entry.exempt


NO_POLICIES = Policies({}, {})


def policies_of(content: AccountsFile) -> Policies:
    """Policies of an accounts file."""
    crossings = {entry.id: entry.crossing for entry in content.accounts}
    crossings |= {group_owner(group.id): group.crossing for group in content.groups}
    return Policies(
        {entry.id: entry for entry in content.accounts},
        {owner: crossing for owner, crossing in crossings.items() if any(crossing)},
    )


def new_key() -> str:
    """A key of 256 random bits, recognizable to scanners for leaked keys."""
    return f"queen_{secrets.token_urlsafe(32)}"


def account_lines(
    account_id: str,
    key: str,
    *,
    indent: int = 2,
    **policy: str | int | None,
) -> str:
    """The YAML list entry of one account, with the key's digest and not the key.

    `policy` are other fields of the entry; those that are None are left out.
    """
    stated = {"id": account_id, "key_sha256": key_digest(key), **policy}
    return _entry({name: value for name, value in stated.items() if value is not None}, indent)


def group_lines(account_ids: Sequence[str], group: str) -> str:
    """The lines that put accounts into a group, for an operator to merge into their entries."""
    return "".join(_entry({"id": name, "group": group}, 2) for name in account_ids)


def appended(path: Path, account_id: str, key: str, **policy: Any) -> str:
    """Text of the accounts file `path` with one more account, comments kept.

    A file that does not exist is created. Raises ConfigError for a text that is no accounts file,
    or that holds the id already.
    """
    if not path.exists():
        return "accounts:\n" + account_lines(account_id, key, **policy)
    known = [entry.id for entry in read_accounts(path).accounts]
    if account_id in known:
        raise ConfigError(f"{path} has an account '{account_id}' already; choose another id")
    before = path.read_text(encoding="utf-8")
    item = _ITEM.search(before)
    head = before if known else _EMPTY.sub("accounts:", before, count=1)
    lines = account_lines(account_id, key, indent=len(item[1]) if item else 2, **policy)
    after = head + ("" if head.endswith("\n") else "\n") + lines
    if _ids(after) != [*known, account_id]:
        raise ConfigError(f"{path}: cannot append to a file of this form; add the lines by hand")
    return after


def _entry(fields: Mapping[str, str | int], indent: int) -> str:
    # A JSON text is valid YAML, for every character that an id may have.
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]
    return " " * indent + "- " + f"\n{' ' * (indent + 2)}".join(lines) + "\n"


def _ids(text: str) -> list[str] | None:
    """Ids in a text, None if it is no longer an accounts file."""
    try:
        return [str(entry["id"]) for entry in yaml.safe_load(text)["accounts"]]
    except (yaml.YAMLError, KeyError, TypeError):
        return None

"""Accounts as they stand in accounts.yaml."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import yaml

from queen.errors import ConfigError
from queen.serving.accounts import read_accounts
from queen.serving.auth import key_digest

_ITEM = re.compile(r"^( *)- ", re.MULTILINE)
_EMPTY = re.compile(r"^accounts:[ \t]*\[\s*\][ \t]*(?=#|$)", re.MULTILINE)


def new_key() -> str:
    """A key of 256 random bits, recognisable to scanners for leaked keys."""
    return f"queen_{secrets.token_urlsafe(32)}"


def account_lines(
    account_id: str,
    key: str,
    *,
    group: str | None = None,
    profile: str | None = None,
    budget: int | None = None,
    indent: int = 2,
) -> str:
    """The YAML list entry of one account, with the key's digest and not the key."""
    stated: dict[str, str | int | None] = {"id": account_id, "key_sha256": key_digest(key)}
    stated |= {"group": group, "profile": profile, "budget": budget}
    # A JSON text is a YAML text, whatever characters an id has.
    lines = [f"{name}: {json.dumps(value)}" for name, value in stated.items() if value is not None]
    return " " * indent + "- " + f"\n{' ' * (indent + 2)}".join(lines) + "\n"


def appended(path: Path, account_id: str, key: str, **policy: Any) -> str:
    """Text of the accounts file `path` with one more account, comments kept.

    A file that does not exist is begun. Raises ConfigError for one that is no accounts
    file, or holds the id already.
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


def _ids(text: str) -> list[str] | None:
    """Ids in a text, None if it is no longer an accounts file."""
    try:
        return [str(entry["id"]) for entry in yaml.safe_load(text)["accounts"]]
    except (yaml.YAMLError, KeyError, TypeError):
        return None

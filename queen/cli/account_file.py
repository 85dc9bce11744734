"""Accounts as they stand in accounts.yaml."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from pathlib import Path
from typing import Any

import yaml

from queen.errors import ConfigError

_ID = re.compile(r"[^\s\x00-\x1f\x7f]{1,256}")
_ITEM = re.compile(r"^( *)- ", re.MULTILINE)
_EMPTY = re.compile(r"^accounts:[ \t]*(\[\s*\]|null|~)?[ \t]*(?=#|$)", re.MULTILINE)
_BY_HAND = "add the lines by hand"


def new_key() -> str:
    """A key of 256 random bits, recognisable to scanners for leaked keys."""
    return f"queen_{secrets.token_urlsafe(32)}"


def key_digest(key: str) -> str:
    """Hex SHA-256 of a key: the form in which accounts.yaml holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


def require_account_id(account_id: str) -> str:
    """`account_id` if the front door would take it; ConfigError otherwise."""
    if not _ID.fullmatch(account_id):
        raise ConfigError(
            f"expected an account id of 1 to 256 characters without spaces, got {account_id!r}"
        )
    return account_id


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
    stated = {"id": account_id, "key_sha256": key_digest(key)}
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
    before = path.read_text(encoding="utf-8")
    known = _ids(path, before)
    if account_id in known:
        raise ConfigError(f"{path} has an account of that id already; choose another id")
    item = _ITEM.search(before)
    head = before if known else _EMPTY.sub("accounts:", before, count=1)
    lines = account_lines(account_id, key, indent=len(item[1]) if item else 2, **policy)
    after = head + ("" if head.endswith("\n") else "\n") + lines
    _require_ids(path, after, [*known, account_id])
    return after


def _ids(path: Path, text: str) -> list[str]:
    try:
        content = yaml.safe_load(text)
        return [str(entry["id"]) for entry in content["accounts"] or []]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: expected 'accounts:' with a list of accounts, got something else"
        ) from error


def _require_ids(path: Path, text: str, expected: list[str]) -> None:
    """Refuse a text in which the new lines did not become one more list entry."""
    try:
        if _ids(path, text) == expected:
            return
    except ConfigError as error:
        raise ConfigError(f"{path}: cannot append to a file of this form; {_BY_HAND}") from error
    raise ConfigError(f"{path}: cannot append to a file of this form; {_BY_HAND}")

"""The accounts of the demo."""

from __future__ import annotations

from pathlib import Path

import yaml

from queen.demo.accounts import write_accounts
from queen.serving.auth import key_digest


def test_only_the_undefended_account_is_observed(tmp_path: Path) -> None:
    """The file holds digests of the keys and no key."""
    path = write_accounts(tmp_path, ["thief", "ordinary"])
    accounts = {entry["id"]: entry for entry in yaml.safe_load(path.read_text())["accounts"]}
    profiles = {name: entry.get("profile") for name, entry in accounts.items()}
    assert profiles == {"thief": None, "ordinary": None, "undefended": "observe"}
    assert accounts["thief"]["key_sha256"] == key_digest("demo-thief-key")
    assert "demo-thief-key" not in path.read_text()

"""Attacks on an endpoint: options that are refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from queen.errors import ConfigError
from queen.redteam.runs.endpoint_attack import EndpointAttack, attack_endpoint, read_key


def test_a_key_is_read_without_its_newline(tmp_path: Path) -> None:
    """An empty file is refused by its name."""
    (tmp_path / "a.key").write_text("secret\n")
    assert read_key(tmp_path / "a.key") == "secret"
    (tmp_path / "b.key").write_text("\n")
    with pytest.raises(ConfigError, match=r"b\.key: expected a key"):
        read_key(tmp_path / "b.key")


def test_an_unknown_attack_is_refused(tmp_path: Path) -> None:
    """No query is charged for a typing mistake."""
    (tmp_path / "a.key").write_text("secret")
    np.savez(tmp_path / "pool.npz", x=np.zeros((3, 2)))
    options = EndpointAttack(
        "127.0.0.1:1", (tmp_path / "a.key",), tmp_path / "pool.npz", attacks=("charm",)
    )
    with pytest.raises(ConfigError, match="attack: expected one of knockoff"):
        attack_endpoint(options, Console(quiet=True))

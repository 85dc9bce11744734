"""Settings of the sensitivity service."""

from __future__ import annotations

from pathlib import Path

import pytest
from queen_sensitivity.settings import SensitivitySettings

from queen.errors import ConfigError


@pytest.mark.parametrize(
    "state", ["memory", "/var/ledgers.sqlite", "redis://host:6379", "redis+cluster://a:1,b:2"]
)
def test_a_state_is_memory_a_file_or_a_redis(tmp_path: Path, state: str) -> None:
    """All of them are accepted as they are."""
    assert SensitivitySettings(bundle=tmp_path, state=state).state == state


@pytest.mark.parametrize("state", ["postgres://me:hidden@host", "redis://:hidden@host:port"])
def test_a_state_of_another_form_is_refused_unquoted(tmp_path: Path, state: str) -> None:
    """It may hold a password."""
    with pytest.raises((ConfigError, ValueError), match=r".+") as caught:
        SensitivitySettings(bundle=tmp_path, state=state)
    assert "hidden" not in str(caught.value)


def test_sizes_and_times_have_bounds(tmp_path: Path) -> None:
    """A budget of no record and a wait of no time are refused."""
    for setting in ("budget", "cached_accounts", "max_rows", "redis_timeout_seconds"):
        with pytest.raises(ValueError, match=setting):
            SensitivitySettings(bundle=tmp_path, state="memory", **{setting: 0})

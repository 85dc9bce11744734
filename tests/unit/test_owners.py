from __future__ import annotations

import pytest
from pydantic import ValidationError

from queen.errors import ConfigError
from queen.owners import (
    LONGEST_NAME,
    group_owner,
    is_group,
    is_observed,
    observed_owner,
    require_account_id,
)
from queen.serving.accounts import AccountEntry


def test_a_group_is_told_from_an_account_by_its_name():
    """A group's ledger is kept under a name that no account can have."""
    assert group_owner("acme") == "group acme"
    assert is_group(group_owner("acme"))
    assert not is_group("acme")
    with pytest.raises(ConfigError):
        require_account_id(group_owner("acme"))


def test_observed_ledgers_have_a_name_of_their_own():
    """Neither an account nor a group can have it, and it is no group."""
    for owner in ("acme", group_owner("acme")):
        assert is_observed(observed_owner(owner))
        assert not is_observed(owner)
        assert not is_group(observed_owner(owner))
        with pytest.raises(ConfigError):
            require_account_id(observed_owner(owner))


@pytest.mark.parametrize(
    ("account_id", "is_sound"),
    [
        ("acme", True),
        ("ä:1", True),
        ("a" * LONGEST_NAME, True),
        ("", False),
        ("a" * (LONGEST_NAME + 1), False),
        ("two words", False),
        ("a\x7f", False),
        ("a\n", False),
        ("a\x1b[2J", False),
        ("a\x9b2J", False),
        ("a\u200bb", False),
        ("a\u202eb", False),
        ("a\ufeff", False),
        ("東京-é", True),
    ],
)
def test_the_accounts_file_and_the_command_line_accept_the_same_ids(account_id, is_sound):
    """An id that `queen accounts new` makes opens the front door, and no other does."""
    refused = []
    for check in (require_account_id, lambda name: AccountEntry(id=name, key_sha256="ab" * 32)):
        try:
            check(account_id)
            refused.append(False)
        except (ConfigError, ValidationError):
            refused.append(True)
    assert refused == [not is_sound] * 2

from __future__ import annotations

import pytest
from pydantic import ValidationError

from queen.errors import ConfigError
from queen.owners import LONGEST_NAME, group_owner, is_group, require_account_id
from queen.serving.accounts import AccountEntry


def test_a_group_is_told_from_an_account_by_its_name():
    """A group's ledger is kept under a name that no account can have."""
    assert group_owner("acme") == "group acme"
    assert is_group(group_owner("acme"))
    assert not is_group("acme")
    with pytest.raises(ConfigError):
        require_account_id(group_owner("acme"))


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

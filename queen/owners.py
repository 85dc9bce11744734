"""Names of owners: accounts and groups, whose ledgers lie side by side in one store.

An account is kept under its own id, a group under "group NAME". What either asks under `observe` is
kept a second time, without a limit, under "observed OWNER". No account id holds a space, so the
three never meet.
"""

from __future__ import annotations

import re

from queen.errors import ConfigError

LONGEST_NAME = 256
"""Characters of the longest account id or group name that accounts.yaml may state."""
LONGEST_OWNER = 1024
"""Characters of the longest owner that a service accepts from another service."""
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Characters that a terminal obeys or does not show: control, zero width, direction of writing."""
ACCOUNT_ID = rf"[^\s{_UNSEEN}]+"
"""Regular expression of an account id: no space, and no character that is not seen."""
GROUP_NAME = rf"[^{_UNSEEN}]+"
"""Regular expression of a group's name: one line that operators can read."""

GROUP_PREFIX = "group "
OBSERVED_PREFIX = "observed "


def group_owner(group: str) -> str:
    """The owner under which the ledgers of a group are kept."""
    return GROUP_PREFIX + group


def is_group(owner: str) -> bool:
    """Whether an owner is a group rather than an account."""
    return owner.startswith(GROUP_PREFIX)


def observed_owner(owner: str) -> str:
    """The owner under which the observed ledgers of an account or a group are kept."""
    return OBSERVED_PREFIX + owner


def is_observed(owner: str) -> bool:
    """Whether an owner holds the observed ledgers of another."""
    return owner.startswith(OBSERVED_PREFIX)


def require_account_id(account_id: str) -> str:
    """`account_id` if accounts.yaml may state it; ConfigError otherwise."""
    if len(account_id) > LONGEST_NAME or not re.fullmatch(ACCOUNT_ID, account_id):
        raise ConfigError(
            f"expected an account id of 1 to {LONGEST_NAME} characters without spaces, "
            f"got {account_id!r}"
        )
    return account_id

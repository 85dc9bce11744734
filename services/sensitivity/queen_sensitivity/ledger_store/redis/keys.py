"""Names of the keys in Redis.

All keys of an account have its id as their hash tag, so that a script reaches all of its ledgers
on one server of a cluster:

    queen:{ACCOUNT}                    HASH  generation under each geometry
    queen:{ACCOUNT}:GEOMETRY           SET   classes with a record
    queen:{ACCOUNT}:GEOMETRY:CLASS     LIST  records, float32, little-endian
    queen:accounts:GEOMETRY            ZSET  ids of accounts, all with score 0
    queen:audit                        LIST  entries of the audit

No key expires: an expiry would be an attacker's reset.
"""

from __future__ import annotations

from urllib.parse import quote

from queen_sensitivity.ledger_store.base import LedgerKey

AUDIT_KEY = "queen:audit"
PROBE_KEY = "queen:accounts:probe"
"""A key that never exists; permissions for those of accounts cover it."""


def generations_key(account_id: str) -> str:
    """Name of the hash of an account's generations, by geometry; it outlives an erasure.

    The id is percent-encoded: a brace in it would end the hash tag, a colon the id.
    """
    return f"queen:{{{quote(account_id, safe='')}}}"


def classes_key(account_id: str, geometry_digest: str) -> str:
    """Name of the set of classes in which an account has a record."""
    return below(generations_key(account_id), geometry_digest)


def list_key(key: LedgerKey) -> str:
    """Name of the list of one ledger's records."""
    return below(classes_key(key.account_id, key.geometry_digest), key.label)


def below(key: str, part: str | int) -> str:
    """Name of the key of `part` under `key`: a geometry of an account, a class of a geometry."""
    return f"{key}:{part}"


def index_key(geometry_digest: str) -> str:
    """Name of the set of accounts."""
    return f"queen:accounts:{geometry_digest}"

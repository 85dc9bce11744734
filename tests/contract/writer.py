"""A process that appends to a SQLite ledger until it is killed, acknowledging on stdout.

`python -m tests.contract.writer FILE SYNCHRONOUS`: one line `label version` for each append
that the store answered with Appended.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from typing import Literal, cast

from queen_sensitivity.ledger_store import Append, Appended, LedgerKey, open_sqlite_store

from tests.contract.ledger_stores import records_of


def main(file: str, synchronous: str) -> None:
    """Append two ledgers in turn, a few records at a time."""
    store = open_sqlite_store(Path(file), cast("Literal['full', 'normal']", synchronous))
    versions = [0, 0]
    for turn in count():
        label, size = turn % 2, 1 + turn % 3
        fresh = records_of(*(float(versions[label] + row) for row in range(size)))
        append = Append(LedgerKey("a", "g", label), versions[label], fresh)
        (result,) = store.append_many([append])
        if not isinstance(result, Appended):
            raise SystemExit(f"expected Appended, got {result}")
        versions[label] = result.version
        print(label, result.version, flush=True)  # noqa: T201 - the acknowledgement


if __name__ == "__main__":
    main(*sys.argv[1:])

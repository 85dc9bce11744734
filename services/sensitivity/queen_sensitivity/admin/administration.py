"""What an operator may do to the ledgers, without a transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from queen.errors import AccountNotFound
from queen.method.geometry import Geometry
from queen_sensitivity.admin.audit import Audit, Mandate, utc_now
from queen_sensitivity.admin.transfer import AccountRecords, Added, add_account, read_account
from queen_sensitivity.ledger_store import LedgerStore


class Erased(NamedTuple):
    """Records that were there, and the geometries that they were under."""

    records: int
    geometries: int


def clock_generation() -> int:
    """Milliseconds since 1970: a generation that no earlier erasure was given."""
    return round(utc_now().timestamp() * 1000)


class Administration:
    """Resets, deletes, exports and imports accounts; groups under the id "group NAME".

    `forget` makes the engine of this process read an account again. Engines elsewhere find
    out by themselves.
    """

    def __init__(
        self,
        geometry: Geometry,
        store: LedgerStore,
        audit: Audit,
        forget: Callable[[str], None],
        generation: Callable[[], int] = clock_generation,
    ) -> None:
        self._geometry = geometry
        self._store = store
        self._audit = audit
        self._forget = forget
        self._generation = generation

    def reset(self, account_id: str, mandate: Mandate) -> Erased:
        """Empty ledgers and meter under the geometry in service; AccountNotFound if unknown."""
        known = self._store.geometries(account_id)
        is_known = self._geometry.digest in known
        return self._erase("reset", account_id, mandate, [self._geometry.digest], is_known)

    def delete(self, account_id: str, mandate: Mandate) -> Erased:
        """Erase the account under every geometry; AccountNotFound if it has none.

        One that was deleted before is known, so that an attempt that failed can be repeated.
        """
        known = self._store.geometries(account_id)
        digests = sorted({*known, self._geometry.digest})
        return self._erase("delete", account_id, mandate, digests, bool(known))

    def audit_exemption(self, account_id: str, is_exempt: bool, mandate: Mandate) -> int:
        """Put an exemption, or its end, into the audit; records of the account by now.

        The policy itself is the front door's. An account that never asked may be exempt.
        """
        records = self._count(account_id, self._geometry.digest)
        action = "exempt" if is_exempt else "end of exemption"
        self._audit.record(action, account_id, mandate, records)
        return records

    def _erase(
        self,
        action: str,
        account_id: str,
        mandate: Mandate,
        geometry_digests: Sequence[str],
        is_known: bool,
    ) -> Erased:
        counts = [self._count(account_id, digest) for digest in geometry_digests]
        if not is_known and not any(counts):
            raise AccountNotFound(
                "expected an account with records under this bundle, got one without",
                field="account_id",
            )
        self._audit.record(action, account_id, mandate, sum(counts))
        self._store.erase(account_id, geometry_digests, self._generation())
        self._forget(account_id)
        return Erased(sum(counts), sum(count > 0 for count in counts))

    def _count(self, account_id: str, geometry_digest: str) -> int:
        stored = self._store.load(account_id, geometry_digest)
        # Marks stand behind the classes; how many classes another geometry has is not known.
        is_served = geometry_digest == self._geometry.digest
        marks = stored.get(self._geometry.num_classes, ()) if is_served else ()
        return sum(map(len, stored.values())) - len(marks)

    def export_page(self, after: str, size: int) -> list[AccountRecords]:
        """The first `size` accounts above the id `after`."""
        found = self._store.list_accounts(self._geometry.digest, after, size)
        return [read_account(self._store, self._geometry, account_id) for account_id in found]

    def export_named(self, account_id: str) -> AccountRecords:
        """One account; AccountNotFound for one without records."""
        found = read_account(self._store, self._geometry, account_id)
        if not found.count and not found.marks:
            raise AccountNotFound(
                "expected an account with records under this bundle, got one without",
                field="account_ids",
            )
        return found

    def take_over(self, accounts: Sequence[AccountRecords], mandate: Mandate) -> Added:
        """Add to each account what is novel; all of it was checked before."""
        added = covered = 0
        for incoming in accounts:
            before = self._count(incoming.account_id, self._geometry.digest)
            self._audit.record("import", incoming.account_id, mandate, before)
            outcome = add_account(self._store, self._geometry, incoming)
            self._forget(incoming.account_id)
            added, covered = added + outcome.added, covered + outcome.covered
        return Added(added, covered)

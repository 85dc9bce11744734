"""Changes that an operator makes to the ledgers of an account, without a transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from queen.errors import AccountNotFound
from queen.method.geometry import Geometry
from queen.operators import Mandate
from queen.owners import observed_owner
from queen_sensitivity.admin.audit import Audit, utc_now
from queen_sensitivity.admin.transfer import AccountRecords, Added, add_account, read_account
from queen_sensitivity.ledger_store import LedgerStore
from queen_sensitivity.survey.accounts import ACCOUNTS_AT_A_TIME, list_owners


class Erased(NamedTuple):
    """Records that an erasure removed, and the geometries that they were under."""

    records: int
    geometries: int


def clock_generation() -> int:
    """Milliseconds since 1970: a generation that no earlier erasure was given."""
    return round(utc_now().timestamp() * 1000)


class Administration:
    """Resets, deletes, exports and imports the ledgers of accounts and groups.

    An erasure removes the observed ledgers, too; exports and counts leave them out.

    `forget` makes the engine of this process read an account again. Engines of other processes
    find out by themselves. `generation` gives the least generation of an erasure.
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

        An account that was deleted before is known, so that a failed attempt can be repeated.
        """
        known = self._store.geometries(account_id)
        observed = self._store.geometries(observed_owner(account_id))
        digests = sorted({*known, *observed, self._geometry.digest})
        return self._erase("delete", account_id, mandate, digests, bool(known))

    def audit_exemption(self, account_id: str, is_exempt: bool, mandate: Mandate) -> int:
        """Put an exemption, or its end, into the audit; returns how many records the account has.

        The front door's accounts file decides the exemption itself. An account without a record
        may be exempt, too.
        """
        records = self._count(account_id, self._geometry.digest)
        action = "exempt" if is_exempt else "end of exemption"
        self._audit.record(action, account_id, mandate, records)
        return records

    def export(self, account_ids: Sequence[str] = ()) -> Iterator[AccountRecords]:
        """The named accounts, or all in order of their ids if none is named.

        Raises AccountNotFound at a named account without records.
        """
        if account_ids:
            yield from map(self._export_named, account_ids)
            return
        after: str | None = ""
        while after is not None:
            page = list_owners(self._store, self._geometry.digest, after, ACCOUNTS_AT_A_TIME)
            for account_id in page:
                yield read_account(self._store, self._geometry, account_id)
            after = page[-1] if len(page) == ACCOUNTS_AT_A_TIME else None

    def import_accounts(self, accounts: Iterable[AccountRecords], mandate: Mandate) -> Added:
        """Add the novel records of each account to its ledgers.

        The caller has checked all of them before. Raises LedgerConflict if other writers kept
        winning.
        """
        added = covered = 0
        for incoming in accounts:
            before = self._count(incoming.account_id, self._geometry.digest)
            self._audit.record("import", incoming.account_id, mandate, before)
            outcome = add_account(self._store, self._geometry, incoming)
            self._forget(incoming.account_id)
            added, covered = added + outcome.added, covered + outcome.covered
        return Added(added, covered)

    def _export_named(self, account_id: str) -> AccountRecords:
        account = read_account(self._store, self._geometry, account_id)
        if not account.count and not account.marks:
            raise _without_records("account_ids")
        return account

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
            raise _without_records("account_id")
        self._audit.record(action, account_id, mandate, sum(counts))
        observed = observed_owner(account_id)
        kept_apart = sorted({*geometry_digests} & {*self._store.geometries(observed)})
        for owner, digests in ((account_id, geometry_digests), (observed, kept_apart)):
            if digests:
                self._store.erase(owner, digests, self._generation())
                self._forget(owner)
        return Erased(sum(counts), sum(count > 0 for count in counts))

    def _count(self, account_id: str, geometry_digest: str) -> int:
        stored = self._store.load(account_id, geometry_digest)
        # The meter's marks have the label after the last class, known for this geometry only.
        is_served = geometry_digest == self._geometry.digest
        marks = stored.get(self._geometry.num_classes, ()) if is_served else ()
        return sum(map(len, stored.values())) - len(marks)


def _without_records(field: str) -> AccountNotFound:
    return AccountNotFound(
        "expected an account with records under this bundle, got one without", field=field
    )

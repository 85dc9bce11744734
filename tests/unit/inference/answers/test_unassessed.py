"""Labels without a verdict: the accounts that get them, and when a count begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from queen_inference.answers.allowance import Allowance
from queen_inference.answers.last_verdicts import LastVerdicts
from queen_inference.answers.unassessed import Unassessed
from queen_inference.micro_batch import MicroBatch, Pending
from queen_inference.peers.sensitivity import Assessed
from queen_inference.protectee import Protectee

from queen.failures import Failure
from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from tests.bundles import SmallBundle
from tests.unit.inference.batches import account_of, batch_of, pending_of

STRICT = account_of(Profile.STRICT)
PRESERVE, RECORD = Verdict.PRESERVE, Verdict.RECORD
ROWS = 4


class Outage:
    """Owners may have four rows; every answer of a clock is a day later than the last."""

    def __init__(self, small: SmallBundle, protectee: Protectee) -> None:
        self._small, self._protectee = small, protectee
        self._days = 0
        allowances = (Allowance(ROWS, self._later) for _ in range(2))
        self.unassessed = Unassessed(LastVerdicts(), *allowances)

    def grants(self, account: Account, rows: int = ROWS) -> bool:
        """Whether a request of an account is granted."""
        return self.unassessed.grant(pending_of(account, np.zeros((rows, 1))))

    def tell(
        self, verdicts: Sequence[int], failures: Sequence[int] = (), *, is_late: bool = False
    ) -> None:
        """Verdicts on a request of STRICT."""
        batch: MicroBatch = batch_of(self._small, self._protectee, [STRICT], [len(verdicts)])
        assessed = Assessed.without_verdicts(len(verdicts), None)
        assessed.verdicts[:] = verdicts
        assessed.failures[:] = failures or 0
        late: list[Pending] = list(batch.requests) if is_late else []
        self.unassessed.note(batch, assessed, late)

    def _later(self) -> float:
        self._days += 1
        return self._days * 86400.0


@pytest.fixture
def outage(small: SmallBundle, protectee: Protectee) -> Outage:
    """Nothing is counted yet."""
    return Outage(small, protectee)


async def test_a_verdict_in_time_begins_the_count_anew(outage: Outage) -> None:
    """Whatever it is; not that on a request which was answered before it came."""
    assert outage.grants(STRICT)
    assert not outage.grants(STRICT, 1)
    outage.tell([PRESERVE], is_late=True)
    outage.tell([PRESERVE, 0])
    assert not outage.grants(STRICT, 1)
    outage.tell([PRESERVE, Verdict.REVERSE])
    assert outage.grants(STRICT)


async def test_verdicts_from_memory_free_nothing(outage: Outage) -> None:
    """While the ledger store is away, a query that changes no ledger still gets its verdict."""
    outage.tell([PRESERVE, 0], [0, Failure.STORE_AWAY])
    assert outage.grants(STRICT)
    outage.tell([PRESERVE])
    assert not outage.grants(STRICT, 1)
    outage.tell([RECORD])
    assert outage.grants(STRICT)


async def test_an_outage_gives_some_accounts_nothing_that_they_had_not(outage: Outage) -> None:
    """Exempt ones and those under `safe` have their labels anyhow."""
    for account in (account_of(Profile.SAFE), replace(STRICT, is_exempt=True)):
        assert all(outage.grants(account) for _ in range(3))
    assert not outage.grants(account_of(Profile.REFUSE), 1)


async def test_members_of_a_group_share_its_rows(outage: Outage) -> None:
    """More accounts bring a group no more labels."""
    assert outage.grants(replace(STRICT, account_id="one", group="team"), 3)
    assert not outage.grants(replace(STRICT, account_id="two", group="team"), 2)
    assert outage.grants(replace(STRICT, account_id="two"), 4)


async def test_flagged_rows_are_counted_until_the_perturber_answers(outage: Outage) -> None:
    """Verdicts go on to come while it is missing, and free nothing."""
    flagged = pending_of(STRICT, np.zeros((9, 1)))
    assert outage.unassessed.grant_flagged(flagged, ROWS)
    outage.tell([RECORD])
    assert not outage.unassessed.grant_flagged(flagged, 1)
    outage.unassessed.note_reversed(STRICT.owner)
    assert outage.unassessed.grant_flagged(flagged, 1)

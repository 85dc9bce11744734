"""The last verdicts on accounts under `refuse`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from queen_inference.answers.last_verdicts import LastVerdicts
from queen_inference.micro_batch import MicroBatch, Pending
from queen_inference.peers.sensitivity import NO_VERDICT, Assessed
from queen_inference.protectee import Protectee

from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from tests.bundles import SmallBundle

BOUND = Account("bound", Profile.REFUSE, "hash-of-bound")
OTHER = Account("other", Profile.REFUSE, "hash-of-other")
REVERSE, RECORD, PRESERVE = Verdict.REVERSE, Verdict.RECORD, Verdict.PRESERVE


@pytest.fixture
def last() -> LastVerdicts:
    """Nothing is known yet."""
    return LastVerdicts(most_accounts=2)


@pytest.fixture
def told(small: SmallBundle, protectee: Protectee, last: LastVerdicts) -> object:
    """Notes a request of an account with these verdicts."""

    def note(account: Account, *verdicts: int) -> bool:
        rows = small.inputs[: len(verdicts)]
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        request = Pending(account, rows, np.inf, 0.0, future)
        assessed = Assessed.without_verdicts(len(verdicts), None)
        assessed.verdicts[:] = verdicts
        last.note(MicroBatch.of([request], rows, protectee.run(rows)), assessed)
        return last.is_known_within(account)

    return note


async def test_a_record_is_made_within_the_budget_alone(told) -> None:
    """PRESERVE and no verdict tell nothing; REVERSE tells that it is spent."""
    assert not told(BOUND, PRESERVE, PRESERVE)
    assert told(BOUND, PRESERVE, RECORD)
    assert told(BOUND, PRESERVE, NO_VERDICT)
    assert not told(BOUND, RECORD, REVERSE, PRESERVE)
    assert not told(BOUND, PRESERVE)
    assert told(BOUND, RECORD)


async def test_accounts_are_known_one_by_one(told, last: LastVerdicts) -> None:
    """Those with the latest verdicts are remembered; other profiles are not asked about."""
    assert told(BOUND, RECORD)
    assert not last.is_known_within(OTHER)
    assert not told(replace(OTHER, profile=Profile.STRICT), RECORD)
    assert told(OTHER, RECORD)
    assert told(BOUND, RECORD)
    assert told(Account("third", Profile.REFUSE, "hash-of-third"), RECORD)
    assert last.is_known_within(BOUND)
    assert not last.is_known_within(OTHER)


async def test_an_exempt_account_is_never_over(told) -> None:
    """It is counted, and never refused."""
    assert told(replace(BOUND, is_exempt=True), REVERSE)

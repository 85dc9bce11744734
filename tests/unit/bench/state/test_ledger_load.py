"""The made-up accounts of the bench."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bench.state.ledger_load import Crowd, Site
from queen.method.ledger import Verdict


def test_queries_get_the_verdicts_that_they_are_made_for() -> None:
    """Covered and outside rows record nothing, and each row on an empty point is recorded."""
    crowd = Crowd(Site(), 50, classes=3, records=40)
    store = MemoryLedgerStore()
    crowd.fill(store)
    book = crowd.site.book(store, budget=2000, cached_accounts=100)
    rng = np.random.default_rng(0)
    assert (book.assess(crowd.batch(rng, 500)).verdicts == Verdict.PRESERVE).all()
    assert (book.assess(crowd.outside(rng, range(50))).verdicts == Verdict.PRESERVE).all()
    novel = crowd.at(range(50), np.zeros(50, int), np.full(50, 40))
    assert (book.assess(novel).verdicts == Verdict.RECORD).all()
    recorded = book.assess(crowd.batch(rng, 50, novel=1.0)).verdicts == Verdict.RECORD
    assert recorded.sum() > 40

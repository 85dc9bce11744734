"""Every log of the engine, whatever it decided, gives the same verdicts again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle
from queen.method.crossing import CrossingPolicy
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from queen.method.sensitivity import Charge
from queen.replay import replay
from tests.unit.replay.written import Row, WrittenLog

CLASSES = 4


rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, CLASSES - 1),
        st.sampled_from(np.linspace(0, 6, 12).tolist()),
        # Some on the edge of the region, some far enough for the meter.
        st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0, 1.1, 6.0]),
    ),
    min_size=1,
    max_size=24,
)
policies = st.tuples(
    *(
        st.builds(
            AccountPolicy,
            st.just(f"account-{number}"),
            st.sampled_from(
                [CrossingPolicy(), CrossingPolicy(1), CrossingPolicy(3, 2), CrossingPolicy(1, 2, 3)]
            ),
            st.sampled_from(list(Scope)),
            st.sampled_from(["", "acme", "other"]),
            # One policy for all accounts of a group.
            st.just(CrossingPolicy(2, 2, 2)),
            st.booleans(),
            st.booleans(),
        )
        for number in range(3)
    )
)
events = st.sampled_from(["", "", "", "restart", "account-0", "group acme", "observed account-0"])
"""Between two micro-batches: nothing, another engine on the store, or an erasure."""


@pytest.mark.parametrize("charge", Charge)
@given(policies, st.lists(st.tuples(rows, events), min_size=1, max_size=6))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_sequence_of_the_engine_is_reproduced(
    bundle: Bundle,
    tmp_path: Path,
    charge: Charge,
    chosen: Sequence[AccountPolicy],
    batches: Sequence[tuple[Sequence[Row], str]],
) -> None:
    """Groups, scopes, exemptions, the meter, erasures, restarts, observation: no contradiction."""
    log = WrittenLog(bundle, budget=3, charge=charge)
    verdicts: list[int] = []
    for batch, event in batches:
        verdicts += log.ask(chosen, batch).verdicts.tolist()
        if event == "restart":
            log.restart()
        elif event:
            log.erase(event)
    report = replay([log.write(tmp_path / "log")], bundle)
    assert report.contradictions == []
    assert report.is_reproduced
    assert report.reproduced == report.rows == len(verdicts)
    for verdict in Verdict:
        assert report.verdicts[verdict.name] == verdicts.count(verdict)
    assert report.gaps == 0


@given(policies, st.lists(rows, min_size=1, max_size=6), st.sampled_from([1, 5000, 20_000]))
@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_log_that_owners_have_filled_has_no_gap(
    bundle: Bundle,
    tmp_path: Path,
    chosen: Sequence[AccountPolicy],
    batches: Sequence[Sequence[Row]],
    size: int,
) -> None:
    """Queries that changed a ledger are written beyond the share; all others are counted."""
    log = WrittenLog(bundle, budget=3)
    log.limit(size)
    asked = sum(len(log.ask(chosen, batch).verdicts) for batch in batches)
    log.close()
    report = replay([log.write(tmp_path / "log")], bundle)
    assert report.contradictions == []
    assert report.is_reproduced
    assert report.gaps == 0
    assert report.rows + report.left_out_rows == asked

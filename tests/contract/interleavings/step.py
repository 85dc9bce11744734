"""The ledger step alone, to which the engine's verdicts are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.ledger_store import LedgerKey, Records

from queen.method.ledger import Assessment, LedgerLevels, LedgerRows, Owners, assess_rows
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import record_weights
from tests.unit.sensitivity.regions import CLASSES, small_geometry

GEOMETRY = small_geometry(0.2)


_NEVER = 99
"""Classes that an owner lacks who cannot get over."""


class Decision(NamedTuple):
    """The engine's step over the R charged rows, before it is enforced; `thresholds` (R,)."""

    step: Assessment
    thresholds: np.ndarray


def key_of(owner: str, label: int) -> LedgerKey:
    """The key of one list."""
    return LedgerKey(owner, GEOMETRY.digest, label)


def ledgers_of(charged: Queries) -> list[tuple[LedgerKey, np.ndarray]]:
    """The ledgers that charged rows reach, each with its rows."""
    pairs = charged.account_index * CLASSES + charged.labels
    ledgers = []
    for pair in np.unique(pairs).tolist():
        owner, label = divmod(pair, CLASSES)
        key = key_of(charged.accounts[owner].account_id, label)
        ledgers.append((key, np.flatnonzero(pairs == pair)))
    return ledgers


def cqs_of(records: Records, label: int) -> float:
    """Cumulative query sensitivity of a list, as a running sum: the bits of the engine's."""
    weights = record_weights(GEOMETRY, records, np.full(len(records), label))
    return float(np.add.accumulate(weights)[-1]) if len(weights) else 0.0


def agrees(charged: Queries, rows: np.ndarray, decision: Decision, state: Records) -> bool:
    """Whether the step on this state of a ledger gives the engine's decision, bit for bit.

    The owner is over where the engine says so; other ledgers decide that, not this one.
    """
    if not len(rows):
        return True
    claims = decision.step.is_over[rows]
    cuts = np.flatnonzero(np.diff(claims)) + 1
    for run in np.split(np.arange(len(rows)), cuts):
        embeddings, labels = charged.embeddings[rows[run]], charged.labels[rows[run]]
        lacking = np.array([0 if claims[run[0]] else _NEVER])
        alone = assess_rows(
            GEOMETRY,
            LedgerRows(embeddings, labels, np.zeros(len(run), np.int64)),
            nearest_distances(state, embeddings),
            LedgerLevels(
                np.array([cqs_of(state, int(labels[0]))]),
                decision.thresholds[rows[:1]],
                Owners(np.zeros(1, np.int64), lacking, None),
            ),
        )
        if not all(
            np.array_equal(getattr(alone, name), getattr(decision.step, name)[rows[run]])
            for name in ("verdicts", "distances", "sqs", "cqs_before", "cqs_after")
        ):
            return False
        state = np.concatenate([state, embeddings[alone.recorded]])
    return True


def agrees_in_parts(
    charged: Queries, rows: np.ndarray, decision: Decision, states: Sequence[Records]
) -> bool:
    """Whether the rows fall into parts, in order, each of which agrees with its state.

    A batch appends to a ledger again if it decided on some rows of it again.
    """
    first, *rest = states
    if not rest:
        return agrees(charged, rows, decision, first)
    return any(
        agrees(charged, rows[:cut], decision, first)
        and agrees_in_parts(charged, rows[cut:], decision, rest)
        for cut in range(len(rows) + 1)
    )

"""What verdicts follow from, row by row, and the verdicts that follow from it again.

Facts are numbers and claims, never embeddings: with the regions and the thresholds they give
every verdict a second time, which is how a log of decisions is checked. Shapes: B queries,
R >= B rows that are charged, as in `queen.method.ledger.Charges`.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.ledger import (
    Assessment,
    Charges,
    Verdict,
    enforce,
    owner_was_crossed,
    spare,
)
from queen.method.sensitivity import record_weight, single_query_sensitivity

FACTS = np.dtype(
    [
        ("distances", "<f8"),
        ("cqs_before", "<f8"),
        ("cqs_after", "<f8"),
        ("group_cqs_before", "<f8"),
        ("group_cqs_after", "<f8"),
        ("generations", "<u8"),
        ("group_generations", "<u8"),
        ("budgets", "<u4"),
        ("group_budgets", "<u4"),
        ("bits", "u1"),
        ("scopes", "u1"),
    ]
)
"""Of one query. Numbers are float64: a comparison that was made in float64 may come out
otherwise in float32. Those of the group are 0 for a query without one."""
FactArray = NDArray[np.void]


class Fact(IntFlag):
    """What held before a row, of the owner that is charged; the numbers are those of the wire."""

    NOVEL = 1
    """The row is inside its region and farther than r from every record of the ledger."""
    CROSSED = 2
    """Some class of the owner was over its threshold."""
    OFF_DISTRIBUTION = 4
    """The owner was off-distribution."""
    EXEMPT = 64
    """The account is exempt. This bit has no place among those of the group."""


GROUP_SHIFT = 3
"""Places by which the bits of the group stand left of those of the account."""
_OWN = (1 << GROUP_SHIFT) - 1


def gather_facts(
    step: Assessment,
    charges: Charges,
    thresholds: FloatArray,
    is_crossed: NDArray[np.bool_],
    is_off: NDArray[np.bool_],
    generations: NDArray[np.integer],
    budgets: NDArray[np.integer],
    is_exempt: NDArray[np.bool_],
) -> FactArray:
    """Facts (B,) of `FACTS`.

    The first five are what `enforce` takes; `generations` and `budgets` (R,) are those of
    each row's owner, `is_exempt` (B,) is said of the accounts.
    """
    count = len(charges.scopes)
    crossed = owner_was_crossed(step, charges, thresholds, is_crossed)
    bits = (step.verdicts != Verdict.PRESERVE) * np.uint8(Fact.NOVEL)
    bits |= crossed * np.uint8(Fact.CROSSED)
    bits |= is_off * np.uint8(Fact.OFF_DISTRIBUTION)
    facts, grouped = np.zeros(count, FACTS), charges.row[count:]
    facts["distances"], facts["bits"] = step.distances[:count], bits[:count]
    facts["bits"][grouped] |= bits[count:] << GROUP_SHIFT
    facts["bits"] |= is_exempt * np.uint8(Fact.EXEMPT)
    facts["scopes"] = charges.scopes
    for name, values in (
        ("cqs_before", step.cqs_before),
        ("cqs_after", step.cqs_after),
        ("generations", generations),
        ("budgets", budgets),
    ):
        facts[name] = values[:count]
        facts[f"group_{name}"][grouped] = values[count:]
    return facts


def reenact(
    geometry: Geometry,
    facts: FactArray,
    labels: LabelArray,
    thresholds: FloatArray,
    group_thresholds: FloatArray,
) -> tuple[Assessment, FloatArray]:
    """The verdicts that follow from `facts` (B,), and cqs of the groups' ledgers after (B,).

    `labels` (B,) predicted; T (B,) of the account's ledger, and of the group's where there is
    a group. What the facts say of cqs after a row is not read.
    """
    grouped = np.flatnonzero(facts["group_budgets"])
    row = np.concatenate([np.arange(len(facts)), grouped])
    before = np.concatenate([facts["cqs_before"], facts["group_cqs_before"][grouped]])
    limits = np.concatenate([thresholds, group_thresholds[grouped]])
    bits = np.concatenate([facts["bits"] & _OWN, facts["bits"][grouped] >> GROUP_SHIFT])
    step = _step(geometry, facts["distances"][row], labels[row], before, limits, bits)
    # Every row is an owner by itself: what came before it is in its bits.
    charges = Charges(row, np.arange(len(row)), facts["scopes"])
    crossed, off = bits & Fact.CROSSED > 0, bits & Fact.OFF_DISTRIBUTION > 0
    group_after = facts["group_cqs_before"].copy()
    group_after[grouped] = step.cqs_after[len(facts) :]
    enforced = enforce(step, charges, limits, crossed, off)
    return spare(enforced, facts["bits"] & Fact.EXEMPT > 0), group_after


def _step(
    geometry: Geometry,
    distances: FloatArray,
    labels: LabelArray,
    before: FloatArray,
    limits: FloatArray,
    bits: NDArray[np.uint8],
) -> Assessment:
    """The ledger step on R rows, each against a ledger of its own, (R,) each."""
    sqs = single_query_sensitivity(geometry, distances, labels)
    candidates = (distances < geometry.sensitive_radius[labels]) & (bits & Fact.NOVEL > 0)
    crossed = before > limits
    verdicts = np.full(len(labels), Verdict.PRESERVE, np.uint8)
    verdicts[candidates & crossed] = Verdict.REVERSE
    recorded = candidates & ~crossed
    verdicts[recorded] = Verdict.RECORD
    after = np.where(recorded, before + record_weight(geometry, sqs), before)
    return Assessment(verdicts, distances, sqs, before, after)

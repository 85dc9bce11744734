"""Facts, the numbers from which verdicts follow, and the verdicts computed from them again.

Facts are numbers and claims, never embeddings: with the regions and the thresholds they give
every verdict a second time, which is how a decision log is checked. Shapes: B queries,
R >= B rows that are charged, as in `queen.method.enforcement.Charges`.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.enforcement import Charges, Scope, Standing, enforce, spare
from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.ledger import (
    Assessment,
    LedgerLevels,
    LedgerRows,
    Owners,
    Verdict,
    assess_candidates,
)
from queen.method.sensitivity import Charge, record_weight, sensitive_rows, single_query_sensitivity

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
        ("breadths", "<u4"),
        ("group_breadths", "<u4"),
        ("class_caps", "<u4"),
        ("group_class_caps", "<u4"),
        ("bits", "u1"),
        ("scopes", "u1"),
        ("anywhere", "u1"),
        ("observed", "u1"),
        ("observed_cqs_before", "<f8"),
        ("observed_cqs_after", "<f8"),
        ("observed_generations", "<u8"),
        ("observed_group_cqs_before", "<f8"),
        ("observed_group_cqs_after", "<f8"),
        ("observed_group_generations", "<u8"),
    ]
)
"""Facts of a query. Numbers are float64: a comparison that was made in float64 may have another
result in float32. Those of the group are 0 for a query without a group. `anywhere` is 1 if the
service charges queries outside of the regions, too. `observed` holds the bits of `Observed`; the
numbers of observed ledgers are 0 for a query that is not charged to them."""
POLICIES = np.dtype([("budgets", "<u4"), ("breadths", "<u4"), ("class_caps", "<u4")])
"""Policies in force, a `CrossingPolicy` each; `CAP_OFF` is a class cap that is off."""
FactArray = NDArray[np.void]


class Fact(IntFlag):
    """Claims about a row and its owner that hold before the row, numbered as on the wire."""

    NOVEL = 1
    """The row is sensitive and farther than r from every record of the ledger."""
    OVER = 2
    """The owner was over its budget."""
    OFF_DISTRIBUTION = 4
    """The owner was off-distribution."""
    EXEMPT = 64
    """The account is exempt. A group has no such bit."""
    REPEATED = 128
    """The row repeats a record of the account: said under `Scope.REPEATED` alone, of rows that find
    the account or its group over or off-distribution."""


class Observed(IntFlag):
    """Claims about a query under `observe`, numbered as on the wire."""

    CHARGED = 1
    """The query is charged to observed ledgers."""
    FAR = 2
    """It is in the tail of its class, in a cell that its account did not ask about lately."""
    GROUP_FAR = 4
    """The same, of its group."""


GROUP_SHIFT = 3
"""The bits of the group are those of the account, shifted left by so many places."""
_OWN = (1 << GROUP_SHIFT) - 1


def gather_facts(
    step: Assessment,
    charges: Charges,
    standing: Standing,
    generations: NDArray[np.integer],
    policies: NDArray[np.void],
    is_exempt: NDArray[np.bool_],
) -> FactArray:
    """Facts (B,) of `FACTS`, from the arguments of `enforce` and what a log states besides.

    `generations` and `policies` (R,), of `POLICIES`, are those of each row's owner, `is_exempt`
    (B,) is that of each query's account.
    """
    count = len(charges.scopes)
    bits = (step.verdicts != Verdict.PRESERVE) * np.uint8(Fact.NOVEL)
    bits |= step.is_over * np.uint8(Fact.OVER)
    bits |= standing.is_off * np.uint8(Fact.OFF_DISTRIBUTION)
    facts, grouped = np.zeros(count, FACTS), charges.row[count:]
    facts["distances"], facts["bits"] = step.distances[:count], bits[:count]
    facts["bits"][grouped] |= bits[count:] << GROUP_SHIFT
    facts["bits"] |= is_exempt * np.uint8(Fact.EXEMPT)
    if standing.is_repeated is not None:
        facts["bits"] |= standing.is_repeated * np.uint8(Fact.REPEATED)
    facts["scopes"] = charges.scopes
    for name, values in (
        ("cqs_before", step.cqs_before),
        ("cqs_after", step.cqs_after),
        ("generations", generations),
        *((name, policies[name]) for name in POLICIES.names or ()),
    ):
        facts[name] = values[:count]
        facts[f"group_{name}"][grouped] = values[count:]
    return facts


class ObservedCharges(NamedTuple):
    """S charges to observed ledgers, from which no verdict follows."""

    row: NDArray[np.int64]
    """The query of each, (S,)."""
    is_group: NDArray[np.bool_]
    """Whether the ledger is that of a group, (S,)."""


def state_observed(
    facts: FactArray,
    observed: ObservedCharges,
    step: Assessment,
    generations: NDArray[np.integer],
    is_far: NDArray[np.bool_],
) -> None:
    """Put what became of S observed charges into `facts` (B,).

    They are the last S rows of `step` and `generations`. `is_far` (S,) marks queries in the tail
    of their class, in a cell that their owner did not ask about lately.
    """
    facts["observed"][observed.row] |= np.uint8(Observed.CHARGED)
    for bit, is_said in (
        (Observed.FAR, is_far & ~observed.is_group),
        (Observed.GROUP_FAR, is_far & observed.is_group),
    ):
        facts["observed"][observed.row[is_said]] |= np.uint8(bit)
    last = slice(len(generations) - len(observed.row), None)
    for prefix, chosen in (("", ~observed.is_group), ("group_", observed.is_group)):
        for name, values in (
            ("cqs_before", step.cqs_before),
            ("cqs_after", step.cqs_after),
            ("generations", generations),
        ):
            facts[f"observed_{prefix}{name}"][observed.row[chosen]] = values[last][chosen]


def observed_cqs(geometry: Geometry, facts: FactArray, labels: LabelArray) -> list[FloatArray]:
    """CQS of the observed ledgers after each query, (B,), of accounts and of groups.

    A record of a sensitive query adds its weight, however much the ledger holds.
    """
    sqs = single_query_sensitivity(geometry, facts["distances"], labels)
    weights = np.where(_is_sensitive(geometry, facts, labels), record_weight(geometry, sqs), 0.0)
    return [
        before + weights * (facts[f"observed_{prefix}cqs_after"] > before)
        for prefix in ("", "group_")
        for before in [facts[f"observed_{prefix}cqs_before"]]
    ]


def reenact(
    geometry: Geometry,
    facts: FactArray,
    labels: LabelArray,
    thresholds: FloatArray,
    group_thresholds: FloatArray,
) -> tuple[Assessment, FloatArray]:
    """Verdicts that follow from `facts` (B,), and cqs of the groups' ledgers after each row, (B,).

    `labels` (B,) predicted; T (B,) of the account's ledger, and of the group's where there is
    a group. The facts' own cqs after a row are not read.
    """
    grouped = np.flatnonzero(facts["group_budgets"])
    row = np.concatenate([np.arange(len(facts)), grouped])
    before = np.concatenate([facts["cqs_before"], facts["group_cqs_before"][grouped]])
    limits = np.concatenate([thresholds, group_thresholds[grouped]])
    bits = np.concatenate([facts["bits"] & _OWN, facts["bits"][grouped] >> GROUP_SHIFT])
    # Every row gets an owner and a ledger of its own: its bits say what came before it.
    positions = np.arange(len(row))
    charges = Charges(row, positions, facts["scopes"])
    distances = facts["distances"][row]
    is_candidate = _is_sensitive(geometry, facts, labels)[row] & (bits & Fact.NOVEL > 0)
    # Embeddings are compared within a ledger only, so none are needed here.
    rows = LedgerRows(np.empty((len(row), 0), np.float32), labels[row], positions)
    over, off = bits & Fact.OVER > 0, bits & Fact.OFF_DISTRIBUTION > 0
    # What finds its owner over records nothing, where it may be refused.
    is_bound = (facts["scopes"] == Scope.REPEATED) & (facts["bits"] & Fact.EXEMPT == 0)
    is_candidate &= ~(is_bound[row] & over)
    # No row puts its owner over: the bits say that, too.
    lacking = np.where(over, 0, 2)
    levels = LedgerLevels(before, limits, Owners(positions, lacking, None))
    step = assess_candidates(geometry, rows, distances, is_candidate, levels)
    group_after = facts["group_cqs_before"].copy()
    group_after[grouped] = step.cqs_after[len(facts) :]
    is_repeated = facts["bits"] & Fact.REPEATED > 0
    enforced = enforce(step, charges, Standing(limits, off, is_repeated))
    return spare(enforced, facts["bits"] & Fact.EXEMPT > 0), group_after


def _is_sensitive(geometry: Geometry, facts: FactArray, labels: LabelArray) -> NDArray[np.bool_]:
    """Whether each query is sensitive to the service that stated the facts, (B,)."""
    inside, anywhere = (
        sensitive_rows(geometry, facts["distances"], labels, charge) for charge in Charge
    )
    return np.where(facts["anywhere"] > 0, anywhere, inside)

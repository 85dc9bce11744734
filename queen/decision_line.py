"""Decision records to fields of JSON and back: the front door writes them, replay reads them.

A record has single values for its request and lists for its queries. Pure: no file, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.method.crossing import CAP_OFF, OFF
from queen.method.enforcement import Cause, Scope
from queen.method.facts import FACTS, GROUP_SHIFT, POLICIES, Fact, FactArray, Observed
from queen.method.ledger import Verdict
from queen.method.sensitivity import Charge

LOGGER = "decisions"
"""The field `logger` of a decision record."""
DECISION, UNASSESSED, LEFT_OUT = "decision", "unassessed", "left_out"
"""The field `msg` of a decision record: its request has verdicts, or has none; or it counts the
requests of an account and a minute that no record lists, or not whole."""
HURRIED, OVERLOADED, OVER_BUDGET = "hurried", "overloaded", "over_budget"
LEDGER_FULL, LEDGER_DAMAGED = "ledger_full", "ledger_damaged"
"""The field `refused` of an unanswered request: its deadline was too short, a peer too full, or
its account over its budget under the profile `refuse`; it would have to be recorded and the ledger
store takes no records, or its ledger is damaged."""

NUMBERS = {
    "d": "distances",
    "cqs_before": "cqs_before",
    "cqs_after": "cqs_after",
    "generation": "generations",
}
"""Lists of numbers, with the field of `FACTS` that they hold."""
OBSERVED_NUMBERS = {
    f"observed_{name}": f"observed_{field}" for name, field in NUMBERS.items() if name != "d"
}
"""The lists of the account's observed ledgers; only in a record of an account under `observe`."""
OBSERVED_GROUP_NUMBERS = {
    f"observed_group_{name}": f"observed_group_{field}"
    for name, field in NUMBERS.items()
    if name != "d"
}
"""The same of its group."""
OBSERVED_BITS = {"observed_far": Observed.FAR}
OBSERVED_GROUP_BITS = {"observed_group_far": Observed.GROUP_FAR}
"""Lists of 0 and 1 beside these."""
BITS = {"novel": Fact.NOVEL, "over": Fact.OVER, "off": Fact.OFF_DISTRIBUTION}
"""Lists of 0 and 1, with the fact that they tell."""
REPEATED = "repeated"
"""A list of 0 and 1 as well, in records under `Scope.REPEATED` alone."""
GROUP_NUMBERS = {
    f"group_{name}": f"group_{field}" for name, field in NUMBERS.items() if name != "d"
}
GROUP_BITS = {f"group_{name}": int(bit) << GROUP_SHIFT for name, bit in BITS.items()}
"""The lists of the group; a record of an account without a group has none of these."""
SINGLE = {
    f"{prefix}{name}": f"{prefix}{name}s"
    for prefix in ("", "group_")
    for name in ("budget", "breadth", "class_cap")
}
"""Numbers of a request, with the field of `FACTS` that they hold; a class cap may be `off`."""
ALL_NUMBERS = NUMBERS | GROUP_NUMBERS | OBSERVED_NUMBERS | OBSERVED_GROUP_NUMBERS
_ALL_BITS = {**BITS, **GROUP_BITS, REPEATED: Fact.REPEATED, "exempt": Fact.EXEMPT}
SCOPES = {scope.name.lower(): scope for scope in Scope}
CHARGES = {charge.value: int(charge is Charge.ANYWHERE) for charge in Charge}
VERDICTS = {verdict.name: verdict for verdict in Verdict}


def fact_fields(facts: FactArray) -> dict[str, Any]:
    """The facts (B,) of one request, B > 0, as fields of its record."""
    first = facts[0]
    fields: dict[str, Any] = {
        "scope": Scope(int(first["scopes"])).name.lower(),
        "exempt": bool(first["bits"] & Fact.EXEMPT),
        "charge": (Charge.ANYWHERE if first["anywhere"] else Charge.REGIONS).value,
        **_policy(first, ""),
    }
    fields |= _lists(facts, NUMBERS, BITS)
    if first["scopes"] == Scope.REPEATED:
        fields |= _lists(facts, {}, {REPEATED: Fact.REPEATED})
    if first["group_budgets"]:
        fields |= _policy(first, "group_")
        fields |= _lists(facts, GROUP_NUMBERS, GROUP_BITS)
    if first["observed"]:
        fields |= _lists(facts, OBSERVED_NUMBERS, {}) | _flags(facts["observed"], OBSERVED_BITS)
        if first["group_budgets"]:
            fields |= _lists(facts, OBSERVED_GROUP_NUMBERS, {})
            fields |= _flags(facts["observed"], OBSERVED_GROUP_BITS)
    return fields


def _policy(first: np.void, prefix: str) -> dict[str, Any]:
    """The crossing policy of the account, or of the group, as single values."""
    budget, breadth, class_cap = (int(first[f"{prefix}{name}"]) for name in POLICIES.names or ())
    return {
        f"{prefix}budget": budget,
        f"{prefix}breadth": breadth,
        f"{prefix}class_cap": OFF if class_cap == CAP_OFF else class_cap,
    }


def _lists(
    facts: FactArray, numbers: Mapping[str, str], bits: Mapping[str, int]
) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = {name: facts[field].tolist() for name, field in numbers.items()}
    return lists | _flags(facts["bits"], bits)


def _flags(claims: NDArray[np.uint8], bits: Mapping[str, int]) -> dict[str, list[Any]]:
    return {name: ((claims & bit) > 0).astype(int).tolist() for name, bit in bits.items()}


def facts_from(columns: Mapping[str, NDArray[Any]], rows: int) -> FactArray:
    """Facts (B,) from the lists of all records, each list joined to an array (B,).

    `columns` hold the fields of `fact_fields` by name, with scopes and charges as numbers. A query
    without a group has zeros in the columns of groups, one that is not observed in the observed
    columns, and one of another scope in that of `REPEATED`.
    """
    facts = np.zeros(rows, FACTS)
    for name, field in ALL_NUMBERS.items():
        facts[field] = columns[name]
    for name, bit in _ALL_BITS.items():
        facts["bits"] |= (columns[name] != 0) * np.uint8(bit)
    for name, field in SINGLE.items():
        facts[field] = columns[name]
    for name, field in (("scope", "scopes"), ("charge", "anywhere"), ("observed", "observed")):
        facts[field] = columns[name]
    for name, bit in (OBSERVED_BITS | OBSERVED_GROUP_BITS).items():
        facts["observed"] |= (columns[name] != 0) * np.uint8(bit)
    return facts


@cache
def cause_name(bits: int) -> str:
    """Names of the causes in `bits`, for example GROUP or ACCOUNT|OFF_DISTRIBUTION."""
    return "|".join(cause.name or "" for cause in Cause if cause & bits)


CAUSES = {cause_name(bits): bits for bits in range(8)}
"""Every combination of causes, by its name; the empty name stands for no cause."""

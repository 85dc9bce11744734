"""Facts as fields of a decision record, and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from queen.decision_line import (
    ALL_NUMBERS,
    BITS,
    CAUSES,
    GROUP_BITS,
    OBSERVED_BITS,
    OBSERVED_GROUP_BITS,
    SINGLE,
    cause_name,
    fact_fields,
    facts_from,
)
from queen.method.crossing import CAP_OFF
from queen.method.enforcement import Cause, Scope
from queen.method.facts import FACTS, GROUP_SHIFT, Fact, FactArray, Observed

COUNT = 50


def facts_of(group_budget: int, *, is_observed: bool) -> FactArray:
    """Facts of noise, of one request; those of no group and no observed ledger are 0."""
    rng = np.random.default_rng(group_budget)
    facts = np.zeros(COUNT, FACTS)
    own = int(Fact.NOVEL | Fact.OVER | Fact.OFF_DISTRIBUTION)
    facts["bits"] = rng.integers(0, own + 1, COUNT) | Fact.EXEMPT
    facts["scopes"], facts["budgets"] = Scope.CLASS, 7
    facts["breadths"], facts["class_caps"] = 3, CAP_OFF
    names = ["distances", "cqs_before", "cqs_after"]
    if group_budget:
        facts["group_budgets"] = group_budget
        facts["anywhere"] = 1
        facts["group_breadths"], facts["group_class_caps"] = 5, 2
        facts["bits"] |= (rng.integers(0, own + 1, COUNT) << GROUP_SHIFT).astype(np.uint8)
        facts["group_generations"] = rng.integers(0, 9, COUNT)
        names += ["group_cqs_before", "group_cqs_after"]
    for name in names:
        facts[name] = rng.random(COUNT)
    facts["generations"] = rng.integers(0, 9, COUNT)
    if is_observed:
        far = Observed.FAR | Observed.GROUP_FAR if group_budget else Observed.FAR
        facts["observed"] = Observed.CHARGED | (rng.integers(0, 8, COUNT) & far)
        for prefix in ("observed_", *(["observed_group_"] if group_budget else [])):
            facts[f"{prefix}generations"] = rng.integers(0, 9, COUNT)
            for name in ("cqs_before", "cqs_after"):
                facts[prefix + name] = rng.random(COUNT)
    return facts


@pytest.mark.parametrize("is_observed", [False, True])
@pytest.mark.parametrize("group_budget", [0, 9])
def test_facts_come_back_from_json_bit_for_bit(group_budget: int, is_observed: bool) -> None:
    """In all their digits, since verdicts were decided on them; a group only where there is one."""
    facts = facts_of(group_budget, is_observed=is_observed)
    fields = json.loads(json.dumps(fact_fields(facts)))
    assert fields["class_cap"] == "off"
    assert fields["charge"] == ("anywhere" if group_budget else "regions")
    single = {name: fields.get(name, 0) for name in SINGLE}
    single |= {
        "scope": Scope.CLASS,
        "exempt": True,
        "charge": int(bool(group_budget)),
        "class_cap": CAP_OFF,
    }
    single |= {"repeated": 0, "observed": is_observed}
    columns = {name: np.full(COUNT, value) for name, value in single.items()}
    bits = (*BITS, *GROUP_BITS, *OBSERVED_BITS, *OBSERVED_GROUP_BITS)
    for name in (*ALL_NUMBERS, *bits):
        of_group, of_observed = "group_" in name, name.startswith("observed_")
        has_it = (bool(group_budget) or not of_group) and (is_observed or not of_observed)
        assert (name in fields) is has_it
        columns[name] = np.array(fields.get(name, [0] * COUNT))
    assert facts_from(columns, COUNT).tobytes() == facts.tobytes()


def test_causes_have_names() -> None:
    """Every combination of them, and none is the empty text."""
    assert cause_name(0) == ""
    assert cause_name(Cause.GROUP) == "GROUP"
    assert cause_name(Cause.ACCOUNT | Cause.OFF_DISTRIBUTION) == "ACCOUNT|OFF_DISTRIBUTION"
    assert {name: cause_name(bits) for name, bits in CAUSES.items()} == {
        name: name for name in CAUSES
    }
    assert len(CAUSES) == 8

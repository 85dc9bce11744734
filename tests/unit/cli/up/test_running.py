"""Addresses and process ids that `queen up` publishes."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from queen.cli.up.plan import Plan
from queen.cli.up.running import publish, say


def test_addresses_and_process_ids_are_published_by_name(plan: Plan) -> None:
    """Other commands find each process, and of several replicas all."""
    several = replace(plan, replicas=2, ledger="redis://h:1")
    children = [*several.children("sensitivity"), *several.children("perturber")]
    for port, child in enumerate(children, 1):
        child.ready = {"address": f"h:{port}", "metrics": f"h:{port}0"}
        if child.name.startswith("sensitivity"):
            child.ready["admin"] = f"h:{port}00"
    publish(several, children)
    told = plan.state.read_up()
    assert told["sensitivity"] == "h:1,h:2"
    assert (told["sensitivity-1"], told["perturber"]) == ("h:2", "h:3")
    assert told["admin"] == "h:100"
    assert told["admins"] == {"sensitivity-0": "h:100", "sensitivity-1": "h:200"}
    assert told["metrics"]["perturber"] == "h:30"
    assert told["pids"] == {
        "up": os.getpid(),
        "sensitivity-0": None,
        "sensitivity-1": None,
        "perturber": None,
    }
    assert told["bundle_digest"] == plan.bundle.digest


def test_lines_for_the_operator_leave_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that waits for the ready line reads nothing else."""
    say("serving")
    assert capsys.readouterr() == ("", "queen up: serving\n")

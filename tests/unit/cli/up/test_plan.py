"""Command lines and settings of the services that a plan leads to."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from queen.cli.up.plan import SERVICES, Plan, missing_extras, port_of
from queen.errors import ConfigError

REDIS = "redis://user:hunter2@127.0.0.1:6379"


def test_a_service_alone_has_its_name_and_replicas_have_numbers(plan: Plan) -> None:
    """Names of processes are names of logs, ready files and metrics."""
    assert [plan.names(service) for service in SERVICES] == [[service] for service in SERVICES]
    several = replace(plan, replicas=3, ledger=REDIS)
    assert several.names("sensitivity") == ["sensitivity-0", "sensitivity-1", "sensitivity-2"]
    assert several.names("inference") == ["inference"]


def test_a_process_that_comes_back_is_where_it_was(plan: Plan) -> None:
    """The front door has its ports again, the others their sockets and the port of the metrics."""
    first = plan.flags("sensitivity", name="sensitivity-1")
    sockets = {
        f"--socket={plan.state.socket('sensitivity-1')}",
        f"--admin-socket={plan.state.socket('sensitivity-1-admin')}",
    }
    assert {*sockets, "--metrics-port=0", f"--operators={plan.state.operators}"} <= set(first)
    ready = {"address": "unix:/a", "metrics": "127.0.0.1:72", "admin": "unix:/b"}
    again = plan.flags("sensitivity", ready, name="sensitivity-1")
    assert {*sockets, "--metrics-port=72"} <= set(again)
    assert not [flag for flag in again if flag.startswith(("--port", "--admin-port"))]
    door = {"address": "127.0.0.1:71", "metrics": "127.0.0.1:72"}
    assert {"--port=71", "--metrics-port=72"} <= set(plan.flags("inference", door))


def test_a_first_front_door_waits_for_its_peers(plan: Plan) -> None:
    """A front door that is started again answers at once, in its failure mode if it must."""
    waits = "--await-peers-seconds=60.0"
    assert waits in plan.flags("inference")
    assert waits not in plan.flags("inference", {"address": "127.0.0.1:71"})


def test_the_front_door_gets_what_the_operator_asked(plan: Plan) -> None:
    """Its address, its policies and the targets of its peers."""
    asked = replace(plan, host="127.0.0.2", port=9, failure_mode="allow", allow_clean_answers=True)
    flags = asked.flags("inference", peers={"sensitivity": "127.0.0.1:1,127.0.0.1:2"})
    assert {
        "--host=127.0.0.2",
        "--port=9",
        "--default-profile=paper",
        "--failure-mode=allow",
        "--allow-clean-answers",
        "--sensitivity-target=127.0.0.1:1,127.0.0.1:2",
    } <= set(flags)
    assert "--allow-clean-answers" not in plan.flags("inference")


def test_a_url_of_ledgers_is_no_argument(plan: Plan) -> None:
    """It may hold a password, which `ps` would show to every user of the machine."""
    (child,) = replace(plan, ledger=REDIS).children("sensitivity")
    command = child.argv(None)
    assert command[:3] == [sys.executable, "-P", "-m"]
    assert not any("hunter2" in word or "--state" in word for word in command)
    assert child.environment == {"QUEEN_SENSITIVITY_STATE": REDIS}
    (alone,) = plan.children("sensitivity")
    assert f"--state={plan.state.ledger}" in alone.argv(None)
    assert alone.environment == {}


def test_a_plan_is_checked_with_the_settings_of_the_services(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in a flag, or in the environment of a service, is found before a start."""
    plan.check_settings()
    replace(plan, ledger=REDIS, replicas=2).check_settings()
    with pytest.raises(ConfigError, match="--replicas 2 needs ledgers"):
        replace(plan, replicas=2).check_settings()
    with pytest.raises(ConfigError, match="allow-clean-answers"):
        replace(plan, failure_mode="allow").check_settings()
    monkeypatch.setenv("QUEEN_PERTURBER_THREAD", "2")
    with pytest.raises(ConfigError, match="QUEEN_PERTURBER_THREADS"):
        plan.check_settings()


def test_a_port_is_read_off_an_address() -> None:
    """Of IPv6 as well."""
    assert (port_of("127.0.0.1:80"), port_of("[::1]:81")) == (80, 81)


def test_no_extra_is_missing_here() -> None:
    """The tests run with all three."""
    assert missing_extras() == []

"""`queen replay` on the log of a real deployment."""

import itertools
import json
import stat
from contextlib import ExitStack

import pytest

from queen.oip_client import OipClient
from queen.serving.auth import key_digest
from tests.bundles import make_bundle
from tests.e2e.running_up import PUBLISHED, Up, run_queen

pytestmark = pytest.mark.slow

POLICIES = {
    "paper": "profile: paper",
    "safe": "profile: safe",
    "balanced": "profile: balanced",
    "strict": "profile: strict",
    "observe": "profile: observe",
    "roomy": "budget: 60",
    "spared": "exempt: true, profile: strict",
    "one": "group: team, profile: strict",
    "two": "group: team, profile: paper",
    "three": "group: wide, exempt: true",
}
GROUPS = "[{id: team, budget: 10}, {id: wide, budget: 15}]"
SIZES = (1, 1, 7, 64, 1, 127)
"""Queries of an account's requests, in turn."""
SETTINGS = {
    "DECISION_LOG": "all",
    "DECISION_LOG_MAX_BYTES": "200000",
    "DECISION_LOG_KEPT": "99",
    # No account gets more than its share of a minute, which is larger in files of few minutes.
    "DECISION_LOG_HOURS": "0.02",
    # A busy machine must not cost a query its verdict.
    "ASSESS_TIMEOUT_SECONDS": "60",
    "REVERSE_TIMEOUT_SECONDS": "60",
    "PROBE_SECONDS": "10",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A bundle with the samples it was made from."""
    return make_bundle(tmp_path_factory.mktemp("replay") / "bundle", samples=2000)


def accounts_file(folder):
    """Accounts of every profile, with groups and exemptions."""
    lines = [
        f"- {{id: {name}, key_sha256: {key_digest('key-of-' + name)}, {policy}}}"
        for name, policy in POLICIES.items()
    ]
    file = folder / "accounts.yaml"
    file.write_text("accounts:\n" + "\n".join(lines) + f"\ngroups: {GROUPS}\n")
    return file


def send_traffic(up, inputs):
    """Traffic that crosses; numbers of requests and of queries by account."""
    requests, queries = 0, dict.fromkeys(POLICIES, 0)
    with ExitStack() as stack:
        endpoint = up.addresses["inference"]
        clients = {
            name: stack.enter_context(OipClient(endpoint, f"key-of-{name}", timeout_seconds=90))
            for name in POLICIES
        }
        model = clients["paper"].describe("small")
        for turn, size in itertools.product(range(4), SIZES):
            for name, client in clients.items():
                start = (turn * 450 + queries[name]) % 1800
                client.infer(model, inputs[start : start + size])
                requests, queries[name] = requests + 1, queries[name] + size
    return requests, queries


def replayed(logs, bundle, *flags):
    """Run the command."""
    return run_queen("replay", *logs, "--bundle", bundle, *flags)


def test_replay_reproduces_the_traffic_of_a_deployment(small, tmp_path, monkeypatch):
    """Every query that was sent comes out the same, over all rotated files; a change is found."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"QUEEN_INFERENCE_{name}", value)
    accounts = str(accounts_file(tmp_path))
    flags = [*PUBLISHED, "--budget", "20", "--accounts", accounts]
    up = Up(small.path, tmp_path / "state", *flags)
    try:
        requests, queries = send_traffic(up, small.inputs)
        assert up.metric("queen_decision_log_dropped_total", decision="record") == 0
    finally:
        assert up.stop()[0] == 0
    logs = sorted((tmp_path / "state").glob("decisions.jsonl*"))
    assert len(logs) > 3
    assert {stat.S_IMODE(log.stat().st_mode) for log in logs} == {0o600}
    ran = replayed(logs, small.path, "--json", tmp_path / "report.json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    sent = sum(queries.values())
    assert (report["requests"], report["rows"], report["reproduced"]) == (requests, sent, sent)
    assert (report["contradicting"], report["gaps"], report["broken_chains"]) == (0, 0, 0)
    assert (report["accounts"], report["groups"]) == (len(POLICIES), 2)
    by_profile = {name: queries[name] for name in ("safe", "balanced", "observe")}
    by_profile["paper"] = sum(queries[name] for name in ("paper", "roomy", "two", "three"))
    by_profile["strict"] = sum(queries[name] for name in ("strict", "spared", "one"))
    assert report["profiles"] == by_profile
    assert min(report["verdicts"][name] for name in ("PRESERVE", "RECORD", "REVERSE")) > 50
    assert {"ACCOUNT", "GROUP"} <= report["causes"].keys()
    ran = run_queen("plan", *logs, "--bundle", small.path, "--json", tmp_path / "plan.json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert (plan["accounts"], plan["queries"]) == (1, queries["observe"])
    assert (plan["gaps"], plan["contradictions"]) == (0, 0)
    assert plan["findings"][0]["over"] == 1
    text = b"".join(log.read_bytes() for log in logs).decode()
    assert not any(f'"{name}"' in text for name in ("one", "two", "three", "spared", "team"))

    changed = tmp_path / "changed.jsonl"
    changed.write_text(text.replace('"REVERSE"', '"PRESERVE"', 1))
    ran = replayed([changed], small.path)
    assert ran.returncode == 1
    assert "verdict: expected REVERSE, got PRESERVE" in ran.stderr
    assert f"wrong {changed}:" in ran.stderr

    other = make_bundle(tmp_path / "other", seed=1)
    ran = replayed([changed], other.path)
    assert ran.returncode == 2
    assert f"{changed}:1: expected records of bundle {other.manifest.digest[:12]}" in ran.stderr

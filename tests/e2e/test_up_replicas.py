"""`queen up --replicas`: several sensitivity processes over one Redis."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from queen.cli.accounts.admin_client import AdminClient, Credential
from queen.deployment import Deployment
from queen.errors import ConfigError
from queen.oip_client import OipClient
from tests.bundles import SmallBundle, make_bundle
from tests.e2e.running_up import QUEEN, environment, gone, run_queen
from tests.integration.inference.door import write_accounts
from tests.redis_servers import redis_server
from tests.waiting import eventually

pytestmark = pytest.mark.slow

NAMES = ["sensitivity-0", "sensitivity-1", "sensitivity-2"]
ACCOUNTS = [f"account{index}" for index in range(12)]


@dataclass
class Running:
    """A deployment with three replicas."""

    small: SmallBundle
    deployment: Deployment

    @property
    def published(self) -> dict:
        """The content of up.json."""
        return dict(json.loads((self.deployment.state / "up.json").read_text()))

    def ask_all(self, rows: slice) -> None:
        """Ask in the name of every account; each answer follows a verdict."""
        for name in ACCOUNTS:
            with OipClient(self.deployment.endpoint, f"key-of-{name}") as client:
                answers = client.infer(client.describe("small"), self.small.inputs[rows])
            assert not np.isclose(answers.max(axis=1), 0.9, rtol=1e-6).all()

    def metric(self, process: str, name: str, **labels: str) -> float:
        """A sum over the samples of a process that have these labels."""
        url = f"http://{self.deployment.metrics[process]}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """The deployment; a small budget, and a profile that answers all verdicts alike."""
    # A busy machine must not look like a replica that is away.
    monkeypatch.setenv("QUEEN_INFERENCE_ASSESS_TIMEOUT_SECONDS", "10")
    small = make_bundle(tmp_path / "bundle", samples=800)
    accounts = write_accounts(tmp_path, **dict.fromkeys(ACCOUNTS, "profile: safe"))
    with redis_server(tmp_path / "redis") as redis:
        deployment = Deployment(
            bundle=small.path,
            state=tmp_path / "state",
            ledgers=redis.url,
            replicas=3,
            accounts=accounts,
            budget=10,
        )
        with deployment:
            yield Running(small, deployment)


def test_three_replicas_serve_and_a_killed_one_comes_back(running: Running) -> None:
    """Every replica is used, losing one loses no verdict, and it is started where it was."""
    deployment, before = running.deployment, running.published
    assert set(before["pids"]) == {"up", "perturber", "inference", *NAMES}
    assert before["sensitivity"] == ",".join(before[name] for name in NAMES)
    running.ask_all(slice(0, 20))
    shares = [running.metric(name, "queen_decisions_total") for name in NAMES]
    assert sum(shares) == 20 * len(ACCOUNTS)
    assert sum(share > 0 for share in shares) > 1
    old = deployment.pid("sensitivity-1")
    psutil.Process(old).kill()
    while deployment.pid("sensitivity-1") == old:
        running.ask_all(slice(20, 23))
    assert running.published["sensitivity-1"] == before["sensitivity-1"]
    eventually(lambda: running.metric("inference", "queen_sensitivity_endpoints", state="up") == 3)
    running.ask_all(slice(23, 26))
    assert running.metric("inference", "queen_failure_mode_total") == 0
    with pytest.raises(ConfigError, match=r"expected one of .*sensitivity-2.*, got 'sensitivity'"):
        deployment.pid("sensitivity")
    pids = running.published["pids"].values()
    deployment.__exit__(None, None, None)
    assert gone(list(pids))
    said = (deployment.state / "up.log").read_text()
    assert "sensitivity-1 was ended by SIGKILL" in said
    assert "sensitivity-1 serves again" in said
    logs = {log.name for log in (deployment.state / "logs").iterdir()}
    assert logs >= {f"{name}.log" for name in NAMES}


def test_accounts_are_seen_whole_through_any_replica(running: Running) -> None:
    """Every admin port lists all accounts; `watch` hears of the crossings of all replicas."""
    state = running.deployment.state
    command = [*QUEEN, "accounts", "watch", "--state", str(state)]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stderr is not None
        begun = {watch.stderr.readline().strip() for _ in NAMES}
        assert begun == {f"{name} is watched" for name in NAMES}
        running.ask_all(slice(0, 600))
        listed = run_queen("accounts", "list", "--state", state)
        assert all(name in listed.stdout for name in ACCOUNTS), listed.stderr
        psutil.Process(running.deployment.pid("sensitivity-0")).kill()
        lost, again = watch.stderr.readline(), watch.stderr.readline()
        # Not SIGINT, which whoever runs these tests in the background has us ignore.
        watch.terminate()
        told, _ = watch.communicate(timeout=30)
    assert lost.startswith("sensitivity-0 is not watched: nothing answers at")
    assert again.strip() == "sensitivity-0 is watched"
    assert all(repr(name) in told for name in ACCOUNTS)
    spent, key = [], (state / "operator.key").read_text().strip()
    for address in running.published["admins"].values():
        with AdminClient(address, Credential(key)) as client:
            spent.append(list(client.accounts()))
    assert [account.account_id for account in spent[0]] == sorted(ACCOUNTS)
    assert spent[0] == spent[1] == spent[2]


def test_replicas_without_a_redis_are_refused(tmp_path: Path) -> None:
    """A SQLite file has one writer; the sentence says what to give instead."""
    small = make_bundle(tmp_path / "bundle")
    ran = run_queen("up", "--bundle", small.path, "--state", tmp_path / "s", "--replicas", "2")
    assert ran.returncode == 2
    assert "--replicas 2 needs ledgers that they can share: give --state redis://" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "s" / "logs" / "sensitivity-0.log").exists()

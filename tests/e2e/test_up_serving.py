"""`queen up` from its ready line to its end, with real services."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.cli.accounts.admin_client import AdminClient, Credential
from queen.oip_client import OipClient
from tests.bundles import make_bundle
from tests.e2e.running_up import PUBLISHED, QUEEN, Up, environment, gone, run_queen
from tests.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A bundle with the samples it was made from."""
    return make_bundle(tmp_path_factory.mktemp("up") / "bundle", samples=2000)


@pytest.fixture(scope="module")
def serving(small, tmp_path_factory):
    """A deployment with a small budget, for tests that leave it as it is."""
    running = Up(
        small.path, tmp_path_factory.mktemp("serving") / "state", *PUBLISHED, "--budget", "20"
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def struck(small, tmp_path_factory):
    """A deployment with a small budget whose services are killed, one after the other."""
    running = Up(
        small.path, tmp_path_factory.mktemp("struck") / "state", *PUBLISHED, "--budget", "20"
    )
    yield running
    running.stop()


@pytest.fixture
def up(small, tmp_path):
    """A deployment with a small budget that a test may end."""
    running = Up(small.path, tmp_path / "state", *PUBLISHED, "--budget", "20")
    yield running
    running.stop()


def test_ready_query_and_a_clean_end(small, up, tmp_path):
    """The ready line is true, `queen query` is answered, SIGTERM exits 0 and leaves nothing."""
    assert up.line == f"ready {up.addresses['inference']}"
    np.savez(tmp_path / "x.npz", x=small.inputs[:5], y=small.labels[:5])
    flags = ["query", "--state", up.state, "--data", tmp_path / "x.npz", "--json"]
    raw, typed = run_queen(*flags), run_queen(*flags, "--typed")
    assert raw.returncode == 0, raw.stderr
    rows = json.loads(raw.stdout)["rows"]
    assert [row["label"] for row in rows] == small.labels[:5].tolist()
    assert rows[0]["class_name"] == f"class-{small.labels[0]}"
    assert typed.stdout == raw.stdout
    services = up.services
    code, said = up.stop()
    assert code == 0, said
    assert gone(services)
    assert not (up.state / "up.json").exists()


def test_64_identical_queries_have_one_answer(small, serving):
    """Asking again tells nothing: before, while and after the budget is spent."""
    with OipClient(serving.addresses["inference"], serving.key) as client:
        model = client.describe("small")
        client.infer(model, small.inputs[:1000])
        for row in (small.inputs[1:2], small.inputs[1500:1501]):
            answers = {client.infer(model, row).tobytes() for _ in range(64)}
            assert len(answers) == 1


def test_errors_are_the_servers_words(small, serving, tmp_path):
    """A wrong key and a wrong shape end with 1 and the server's sentence and reason."""
    np.save(tmp_path / "x.npy", small.inputs[:2])
    np.save(tmp_path / "wide.npy", np.zeros((2, 9), np.float32))
    flags = ["query", "--state", serving.state, "--data"]
    (tmp_path / "key").write_text("wrong\n")
    wrong = ["--key-file", tmp_path / "key"]
    for argv, words in (
        ([*flags, tmp_path / "x.npy", *wrong], "(UNAUTHENTICATED, CREDENTIAL_UNKNOWN)"),
        ([*flags, tmp_path / "wide.npy"], "(INVALID_ARGUMENT, SHAPE_MISMATCH)"),
        ([*flags, tmp_path / "x.npy", "--model", "other"], "(NOT_FOUND, MODEL_NOT_FOUND)"),
    ):
        ran = run_queen(*argv)
        assert ran.returncode == 1
        assert words in ran.stderr
        assert ran.stderr.count("\n") == 1


def test_accounts_show_what_was_spent(small, serving, tmp_path):
    """`accounts list` and `show --plot` read the ledger that the traffic left."""
    with OipClient(serving.addresses["inference"], serving.key) as client:
        client.infer(client.describe("small"), small.inputs[:1000])
    listed = run_queen("accounts", "list", "--state", serving.state)
    assert listed.returncode == 0
    assert "local" in listed.stdout
    png = tmp_path / "local.png"
    shown = run_queen("accounts", "show", "local", "--state", serving.state, "--plot", png)
    assert shown.returncode == 0, shown.stderr
    assert "class-0" in shown.stdout
    assert png.read_bytes().startswith(b"\x89PNG")
    unknown = run_queen("accounts", "show", "nobody", "--state", serving.state)
    assert unknown.returncode == 1
    assert "ACCOUNT_NOT_FOUND" in unknown.stderr


OWNER = """
import json, signal, sys
from pathlib import Path
from queen.deployment import Deployment
with Deployment(bundle=Path(sys.argv[1]), state=Path(sys.argv[2])) as deployment:
    names = ("up", "inference", "sensitivity", "perturber")
    print(json.dumps({name: deployment.pid(name) for name in names}), flush=True)
    signal.pause()
"""


def test_killed_supervisor_leaves_no_orphans(up):
    """The services end with `queen up`, also when it is killed."""
    services = up.services
    up.stop(signal.SIGKILL)
    eventually(lambda: gone(services))


def test_a_killed_owner_of_a_deployment_leaves_nothing(small, tmp_path):
    """`queen demo`, a bench or a program of a user's: `queen up` stops with it, as on SIGTERM."""
    state = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(small.path), str(state)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        pids = json.loads(owner.stdout.readline())
        owner.kill()
    assert {"up", "inference", "sensitivity", "perturber"} <= pids.keys()
    eventually(lambda: gone(pids.values()))
    assert not (state / "up.json").exists()


def test_interrupt_stops_cleanly(up):
    """Ctrl-C is as good as SIGTERM."""
    assert up.stop(signal.SIGINT)[0] == 0


def test_stop_before_ready_leaves_nothing(small, tmp_path):
    """SIGTERM while the services are still starting: exit 0, no ready line, no process."""
    state = tmp_path / "state"
    command = [*QUEEN, "up", "--bundle", str(small.path), "--state", str(state), "--port", "0"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as early:
        # Its log is there a moment before the first process is.
        eventually(lambda: bool(psutil.Process(early.pid).children()))
        children = [child.pid for child in psutil.Process(early.pid).children()]
        early.send_signal(signal.SIGTERM)
        out, _ = early.communicate(timeout=60)
    assert (early.returncode, out) == (0, "")
    assert children
    assert gone(children)


def test_killed_front_door_comes_back_on_its_port(small, struck):
    """The door is started again where its clients look for it."""
    endpoint, old = struck.addresses["inference"], struck.addresses["pids"]["inference"]
    psutil.Process(old).kill()
    eventually(lambda: struck.addresses["pids"]["inference"] != old)
    assert struck.addresses["inference"] == endpoint
    with OipClient(endpoint, struck.key) as client:
        answers = client.infer(client.describe("small"), small.inputs[:4])
    np.testing.assert_array_equal(answers.argmax(axis=1), small.labels[:4])


def test_second_up_on_one_state_is_refused(small, serving):
    """The second says who holds the folder; the first goes on."""
    ran = run_queen("up", "--bundle", small.path, "--state", serving.state, "--port", "0")
    assert ran.returncode == 2
    assert (
        f"another `queen up` (process {serving.process.pid}) uses this state folder" in ran.stderr
    )
    assert serving.process.poll() is None


class Traffic(threading.Thread):
    """An account that asks on, too little for `unassessed_rows`; keeps every answer or error."""

    def __init__(self, up, rows):
        super().__init__(daemon=True)
        self.answers, self.errors = [], []
        self.ended = threading.Event()
        self._up, self._rows = up, rows

    def run(self):
        """Ask until told to end."""
        with OipClient(self._up.addresses["inference"], self._up.key) as client:
            model = client.describe("small")
            while not self.ended.wait(0.2):
                try:
                    self.answers.append(client.infer(model, self._rows))
                except grpc.RpcError as error:
                    self.errors.append(error)


def health_at_the_door(up, name):
    """State of a health name at the front door."""
    with grpc.insecure_channel(up.addresses["inference"]) as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status


def records_of(up):
    """Bytes of the records of the account `local`, by class."""
    with AdminClient(up.addresses["admin"], Credential(up.operator_key)) as client:
        classes = client.account("local").classes
    return {ledger.label: ledger.embeddings.tobytes() for ledger in classes}


def test_killed_sensitivity_is_survived_and_its_ledgers_are_whole(small, struck):
    """Answers go on in protect form, health and metrics say so, ledgers are as acknowledged."""
    name, states = "queen.api.v1.SensitivityService", health_pb2.HealthCheckResponse
    with OipClient(struck.addresses["inference"], struck.key) as client:
        client.infer(client.describe("small"), small.inputs[:600])
    before = records_of(struck)
    assert before
    traffic = Traffic(struck, small.inputs[:4])
    traffic.start()
    eventually(lambda: len(traffic.answers) > 3)
    address = struck.addresses["sensitivity"]
    path = Path(address.removeprefix("unix:"))
    old = struck.addresses["pids"]["sensitivity"]
    with socket.socket(socket.AF_UNIX) as squatter:
        # Listens at the socket, so that the restart fails for as long as we want to look.
        path.rename(path.with_suffix(".old"))
        squatter.bind(str(path))
        squatter.listen(1)
        psutil.Process(old).kill()
        eventually(lambda: health_at_the_door(struck, name) == states.NOT_SERVING)
        eventually(lambda: struck.metric("queen_failure_mode_total", mode="protect") > 0)
        during = len(traffic.answers)
        eventually(lambda: len(traffic.answers) > during + 2)
        degraded = traffic.answers[-1]
        assert health_at_the_door(struck, "inference.GRPCInferenceService") == states.SERVING
    eventually(lambda: health_at_the_door(struck, name) == states.SERVING, 60)
    eventually(lambda: struck.addresses["pids"]["sensitivity"] != old)
    traffic.ended.set()
    traffic.join(30)
    assert not traffic.errors
    assert len(np.unique(degraded.max(axis=1))) == 1
    np.testing.assert_array_equal(degraded.argmax(axis=1), small.labels[:4])
    assert struck.addresses["sensitivity"] == address
    assert all(records_of(struck)[label].startswith(records) for label, records in before.items())
    code, said = struck.stop()
    assert code == 0
    assert "sensitivity was ended by SIGKILL" in said
    assert "sensitivity serves again" in said


def test_ledgers_outlive_a_restart(small, tmp_path):
    """Records of a `queen up` are there under the next."""
    state = tmp_path / "state"
    first = Up(small.path, state)
    try:
        with OipClient(first.addresses["inference"], first.key) as client:
            client.infer(client.describe("small"), small.inputs[:200])
        before, key = records_of(first), first.key
    finally:
        first.stop()
    second = Up(small.path, state)
    try:
        assert records_of(second) == before
        assert second.key == key
    finally:
        assert second.stop()[0] == 0


def test_a_proxy_of_the_environment_is_not_between_the_parts(small, tmp_path, monkeypatch):
    """The parts reach each other, so every query is charged; the front door alone has a port."""
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setitem(os.environ, variable, "http://127.0.0.1:1")
    up = Up(small.path, tmp_path / "state", *PUBLISHED)
    # The test itself reads metrics over HTTP.
    monkeypatch.undo()
    try:
        with OipClient(up.addresses["inference"], up.key) as client:
            client.infer(client.describe("small"), small.inputs[:100])
        assert records_of(up)
        assert up.metric("queen_failure_mode_total", mode="protect") == 0
        for name in ("sensitivity", "perturber", "admin"):
            path = Path(up.addresses[name].removeprefix("unix:"))
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        listening = [
            connection.laddr.ip.removeprefix("::ffff:")
            for pid in up.services
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert set(listening) == {"127.0.0.1"}
    finally:
        assert up.stop()[0] == 0

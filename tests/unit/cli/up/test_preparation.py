"""The checks of `queen up` before any service is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from queen.bundle import Bundle
from queen.cli.refusal import Refusal
from queen.cli.up.preparation import EXIT_REFUSED, prepared
from tests.redis_servers import redis_server
from tests.unit.cli.up.conftest import ASKED


def test_a_first_run_makes_what_it_needs(bundle: Bundle, tmp_path: Path) -> None:
    """A secret, an account with its key, and the folder held while it is used."""
    state = str(tmp_path / "state")
    with prepared(bundle.path, None, state, ASKED) as plan:
        assert plan.state.secret.exists()
        assert plan.accounts == plan.state.accounts
        assert plan.state.local_key.exists()
        with (
            pytest.raises(Refusal, match="another `queen up`"),
            prepared(bundle.path, None, state, ASKED),
        ):
            pass
    with prepared(bundle.path, None, state, ASKED):
        pass


def test_ledgers_elsewhere_leave_the_folder_where_it_is(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the URL of a Redis, which must answer, everything else lies in the default folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        with prepared(bundle.path, None, server.url, ASKED) as plan:
            assert plan.ledger == server.url
            assert plan.state.path == tmp_path / ".queen"
        server.stop()
        with (
            pytest.raises(Refusal, match=f"{server.port} did not answer"),
            prepared(bundle.path, None, server.url, ASKED),
        ):
            pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": 10**6}, "expected a budget of at most"),
        ({"class_cap": 10**6}, "expected a class cap of 1 to"),
        ({"replicas": 2}, "--replicas 2 needs ledgers"),
        ({"failure_mode": "allow"}, "allow-clean-answers"),
        ({"host": "no.such.host.invalid"}, r"cannot listen on no\.such\.host\.invalid:0"),
    ],
)
def test_a_mistake_is_refused_before_a_start(
    bundle: Bundle, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    """With one sentence and an exit code of its own."""
    with (
        pytest.raises(Refusal, match=words) as refusal,
        prepared(bundle.path, None, str(tmp_path / "state"), {**ASKED, **change}),
    ):
        pass
    assert refusal.value.exit_code == EXIT_REFUSED


def test_an_accounts_file_is_checked_against_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    """A budget that no account could reach is named by file and entry."""
    file = tmp_path / "accounts.yaml"
    file.write_text(f"accounts: [{{id: a, key_sha256: {'ab' * 32}, budget: 1000000}}]\n")
    with (
        pytest.raises(Refusal, match=r"accounts\.yaml: entry 1, budget: expected at most"),
        prepared(bundle.path, file, str(tmp_path / "state"), ASKED),
    ):
        pass


def test_a_metrics_port_in_use_is_named_by_its_flag(bundle: Bundle, tmp_path: Path) -> None:
    """The operator sees which of the two ports to change."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        asked = {**ASKED, "metrics_port": other.getsockname()[1]}
        with (
            pytest.raises(Refusal, match="choose another --host or --metrics-port"),
            prepared(bundle.path, None, str(tmp_path / "state"), asked),
        ):
            pass

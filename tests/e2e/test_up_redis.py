"""`queen up` with its ledgers in a Redis: it serves, they outlive it, the password stays unseen."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest
import redis

from tests.bundles import SmallBundle, make_bundle
from tests.e2e.running_up import QUEEN, environment, run_queen
from tests.redis_servers import LOOPBACK, redis_server

pytestmark = pytest.mark.slow

PASSWORD = "s3cret-of-the-test"  # noqa: S105 - of a server that ends with its test


def test_ledgers_in_redis_outlive_the_deployment(tmp_path: Path) -> None:
    """Records of a `queen up` count for the next on the same Redis."""
    small = make_bundle(tmp_path / "bundle", coverage_fraction=0.05)
    np.savez(tmp_path / "some.npz", x=small.inputs[:40], y=small.labels[:40])
    words = ("--requirepass", PASSWORD)
    with redis_server(tmp_path / "redis", *words) as server:
        url = server.url.replace("://", f"://:{PASSWORD}@")
        _serve_once(small, tmp_path, url)
        with redis.Redis(host=LOOPBACK, port=server.port, password=PASSWORD) as client:
            keys = {str(key): client.type(key) for key in client.scan_iter("queen:{local}:*")}
        assert set(keys.values()) == {b"set", b"list"}
        listed = _serve_once(small, tmp_path, url)
    assert "local" in listed
    for log in (tmp_path / ".queen" / "logs").iterdir():
        assert PASSWORD not in log.read_text()


def _serve_once(small: SmallBundle, folder: Path, url: str) -> str:
    """Start, query, list the accounts, stop."""
    command = [*QUEEN, "up", "--bundle", str(small.path), "--port", "0"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment(), "QUEEN_STATE": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready ")
    children = psutil.Process(process.pid).children()
    assert len(children) == 3
    assert not any(PASSWORD in " ".join(child.cmdline()) for child in children)
    asked = run_queen("query", "--data", folder / "some.npz", "--rows", "0:40", cwd=folder)
    assert asked.returncode == 0, asked.stderr
    listed = run_queen("accounts", "list", cwd=folder)
    assert listed.returncode == 0, listed.stderr
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert PASSWORD not in said
    return listed.stdout


def test_a_redis_that_does_not_answer_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens there: `queen up` says so, and leaves no process."""
    small = make_bundle(tmp_path / "bundle")
    monkeypatch.setenv("QUEEN_STATE", f"redis://:{PASSWORD}@127.0.0.1:1")
    ran = run_queen("up", "--bundle", small.path, cwd=tmp_path)
    assert ran.returncode not in {0, 1}
    assert "Redis at 127.0.0.1:1 did not answer" in ran.stderr
    assert PASSWORD not in ran.stderr


@pytest.mark.parametrize("url", ["postgres://me:hidden@h", "redis://me:hidden@h:port"])
def test_another_url_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A URL that cannot be read is refused before anything starts, and not quoted."""
    small = make_bundle(tmp_path / "bundle")
    monkeypatch.setenv("QUEEN_STATE", url)
    ran = run_queen("up", "--bundle", small.path, cwd=tmp_path)
    assert ran.returncode == 2
    assert "state: expected" in ran.stderr
    assert "hidden" not in ran.stderr
    assert not (tmp_path / ".queen" / "logs" / "sensitivity.log").exists()

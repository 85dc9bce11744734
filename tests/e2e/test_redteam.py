"""`queen redteam` as an operator runs it: on digits, interrupted, and on a served bundle."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from queen.redteam.report.picture import PICTURE
from queen.serving.auth import key_digest
from tests.bundles import make_bundle
from tests.e2e.running_up import QUEEN, Up, environment
from tests.waiting import eventually

KEYS = {
    *("dataset", "defense", "profile", "budget", "attack", "pool", "accounts", "linked"),
    *("queries", "seed", "clone_accuracy", "fidelity", "honest_accuracy", "honest_flip_rate"),
    *("mean_l1", "reversed_fraction", "clean_prefix_floor", "label_only_floor"),
    *("honest_curve", "clean_prefix_queries", "seconds"),
}
CHOICE = ("--smoke", "--queries", "300", "--attack", "knockoff", "--pool", "in-distribution")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A folder for the networks and bundles that the runs of this module share."""
    return tmp_path_factory.mktemp("cache")


def run_queen(*argv: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with a long timeout: it trains networks."""
    command = [*QUEEN, *map(str, argv)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


def _read(out: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((out / "report.json").read_text())
    return rows


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_smoke_run_reports(tmp_path: Path, cache: Path):
    """Two defenses on digits: every figure is there, and the picture."""
    choice = ("--defense", "none", "--defense", "queen", "--profile", "paper", "--budget", "10")
    out = tmp_path / "out"
    done = run_queen(
        *("redteam", *CHOICE, *choice, "--accounts", 1, "--jobs", 1),
        *("--out", out, "--cache", cache),
    )
    assert done.returncode == 0, done.stderr
    rows = _read(out)
    assert {row["defense"] for row in rows} == {"none", "queen"}
    for row in rows:
        assert set(row) >= KEYS
        assert row["clone_accuracy"] > 0.5
        assert 0 <= row["honest_accuracy"] <= 1
    assert {row["reversed_fraction"] is None for row in rows} == {True, False}
    assert (out / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert "paper n10" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_interrupted_run_ends_at_once_and_goes_on(tmp_path: Path, cache: Path):
    """Ctrl-C leaves whole rows and no process; the same command finishes the plan."""
    names = ("none", "top-1", "rounding")
    options = [option for name in names for option in ("--defense", name)]
    out = tmp_path / "out"
    command = [
        *("redteam", *CHOICE, *options, "--jobs", 2, "--out", out, "--cache", cache),
    ]
    process = subprocess.Popen(
        [*QUEEN, *map(str, command)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: (out / "rows.jsonl").exists() and process.poll() is None, seconds=300)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    finally:
        process.kill()
    eventually(lambda: not any(_runs(child) for child in children))
    done = run_queen(*command)
    assert done.returncode == 0, done.stderr
    assert sorted(str(row["defense"]) for row in _read(out)) == sorted(names)


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def endpoint(tmp_path: Path):
    """A served bundle, with two thieves and an account under `observe`; its npz of images."""
    bundle = make_bundle(tmp_path / "bundle")
    profiles = {"thief-a": "safe", "thief-b": "safe", "clean": "observe"}
    accounts = [
        {"id": name, "key_sha256": key_digest(f"secret of {name}"), "profile": profile}
        for name, profile in profiles.items()
    ]
    (tmp_path / "accounts.yaml").write_text(yaml.safe_dump({"accounts": accounts}))
    for name in profiles:
        (tmp_path / f"{name}.key").write_text(f"secret of {name}\n")
    np.savez(tmp_path / "pool.npz", x=bundle.inputs, y=bundle.labels)
    flags = ("--accounts", str(tmp_path / "accounts.yaml"), "--budget", "5")
    up = Up(bundle.path, tmp_path / "state", *flags)
    yield up.line.removeprefix("ready ")
    up.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ones_own_endpoint_is_attacked(tmp_path: Path, endpoint: str):
    """Keys come from files; with a clean account fidelity and L1 are known, verdicts never."""
    asked = ("--endpoint", endpoint, "--data", tmp_path / "pool.npz", "--attack", "label-only")
    keys = [
        flag for name in ("thief-a", "thief-b") for flag in ("--key-file", tmp_path / f"{name}.key")
    ]
    out = tmp_path / "out"
    done = run_queen("redteam", *asked, *keys, "--queries", 200, "--out", out)
    assert done.returncode == 0, done.stderr
    (row,) = _read(out)
    assert set(row) >= KEYS
    assert row["accounts"] == 2
    assert row["queries_sent"] == 200
    assert row["clone_accuracy"] > 0.5
    assert row["fidelity"] is row["mean_l1"] is row["reversed_fraction"] is None
    clean = ("--clean-key-file", tmp_path / "clean.key")
    done = run_queen("redteam", *asked, *keys, *clean, "--queries", 200, "--out", out)
    assert done.returncode == 0, done.stderr
    (row,) = _read(out)
    assert row["fidelity"] > 0.5
    assert 0 < row["mean_l1"] <= 1
    assert "secret of" not in done.stdout + (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--endpoint", "127.0.0.1:1"), "--key-file"),
        (("--key-file", __file__), "--endpoint"),
        (("--attack", "charm"), "attack: expected one of knockoff"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, options: tuple[str, ...], words: str):
    """Options that do not go together, and an unknown name, are explained."""
    done = run_queen("redteam", *options, "--out", tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr

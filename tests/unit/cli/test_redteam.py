"""`queen redteam`: options that do not go together, and the run that the others ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from queen.cli import main
from queen.cli.redteam import command
from queen.defaults import PROFILE
from queen.redteam.leak import run
from queen.redteam.runs import endpoint_attack, plan_run
from queen.redteam.runs.endpoint_attack import EndpointAttack
from queen.redteam.runs.plan_run import PlanRun


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--endpoint", "127.0.0.1:1"), "--endpoint needs --key-file and --data"),
        (("--data", __file__), "belong to --endpoint"),
        (("--budget", "0"), "--budget"),
    ],
)
def test_a_mistake_is_a_usage_error(argv: tuple[str, ...], words: str) -> None:
    """The exit code is that of click, and nothing runs."""
    done = CliRunner().invoke(command, argv)
    assert done.exit_code == 2
    assert words in done.output


def test_options_become_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names select cells; the folder is that of the plan unless it is given."""
    runs: list[PlanRun] = []
    leaks: list[PlanRun] = []

    def run_plan(plan: PlanRun, _console: object) -> int:
        runs.append(plan)
        return len(runs) - 1

    monkeypatch.setattr(plan_run, "run_plan", run_plan)
    argv = ["--full", "--attack", "s4l", "--attack", "d-dae", "--budget", "30", "--linked"]
    assert CliRunner().invoke(command, argv).exit_code == 0
    assert runs[0].plan == "full"
    assert runs[0].selection.attacks == ("s4l", "d-dae")
    assert runs[0].selection.budgets == (30,)
    assert runs[0].selection.linked is True
    assert runs[0].folders.out == Path("build/redteam/full")
    # With --leak a decoder reads the answers of the plan's defenses, and no attack runs.
    monkeypatch.setattr(run, "run_leak", lambda leak_run, _console: leaks.append(leak_run))
    assert CliRunner().invoke(command, ["--leak", "--profile", "strict"]).exit_code == 0
    assert (leaks[0].plan, leaks[0].selection.profiles) == ("smoke", ("strict",))
    # A run with a failed cell ends with an exit code of 1.
    done = CliRunner().invoke(command, ["--out", str(tmp_path), "--jobs", "3"])
    assert done.exit_code == 1
    assert (runs[1].plan, runs[1].jobs, runs[1].folders.out) == ("smoke", 3, tmp_path)


def test_an_endpoint_is_attacked_with_keys_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain copy and the profile `paper` unless others are named."""
    attacks: list[EndpointAttack] = []
    monkeypatch.setattr(
        endpoint_attack, "attack_endpoint", lambda attack, _console: attacks.append(attack)
    )
    key, data = tmp_path / "a.key", tmp_path / "pool.npz"
    key.write_text("secret")
    data.touch()
    argv = ["--endpoint", "127.0.0.1:1", "--key-file", str(key), "--data", str(data)]
    assert CliRunner().invoke(command, argv).exit_code == 0
    (attack,) = attacks
    assert (attack.key_files, attack.attacks, attack.profile) == (
        (key,),
        ("knockoff",),
        PROFILE.value,
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--attack", "charm"), "attack: expected one of knockoff"),
        (("--dataset", "imagenet"), "data set: expected one of digits"),
    ],
)
def test_an_unknown_name_is_one_sentence(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    """It names what is known, and nothing runs."""
    done = CliRunner().invoke(main, ["redteam", *options, "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_attacks_and_defenses_are_listed() -> None:
    """`--list` names them with a word on each."""
    done = CliRunner().invoke(main, ["redteam", "--list"])
    assert done.exit_code == 0
    assert "knockoff" in done.stdout
    assert "modelguard-w" in done.stdout

"""`queen plan`: the table, the picture, the JSON, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from queen.bundle import Bundle, open_bundle
from queen.cli import main
from tests.bundles import make_bundle
from tests.unit.planning.traffics import observed_log


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with room for about 150 records of a class."""
    path = Path(tmp_path_factory.mktemp("plan")) / "bundle"
    make_bundle(path, coverage_fraction=0.1)
    return open_bundle(path)


@pytest.fixture(scope="module")
def log(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two observed accounts, each with a single class, and a third that is served."""
    return observed_log(bundle).write(Path(tmp_path_factory.mktemp("plan")) / "decisions.jsonl")


def run(*argv: object) -> Result:
    """The command's result."""
    return CliRunner().invoke(main, ["plan", *map(str, argv)])


def test_a_plan_is_a_table_a_choice_and_remarks(bundle: Bundle, log: Path, tmp_path: Path) -> None:
    """With a picture and JSON where they are asked for."""
    ran = run(
        *(log, "--bundle", bundle.path, "--budget", "10,20", "--breadth", "1,2"),
        *("--class-cap", "off", "--plot", tmp_path / "plan.png", "--json", tmp_path / "plan.json"),
    )
    assert ran.exit_code == 0, ran.output
    assert "2 accounts under observe, 120 queries" in ran.output
    assert "strict: the strictest policy that spares 99.9% of the accounts is" in ran.output
    assert "budget 10, breadth 2, cap off" in ran.output
    assert "Accounts over at the end of each day" in ran.output
    assert "60 queries were not of accounts under observe" in ran.output
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "plan.json").read_text())
    assert report["chosen"]["strict"] == {"budget": 10, "breadth": 2, "class_cap": "off"}
    assert [finding["over"] for finding in report["findings"]] == [2, 2, 0, 0]


def test_that_no_policy_spares_enough_is_said(bundle: Bundle, log: Path) -> None:
    """With what the mildest spares."""
    ran = run(log, "--bundle", bundle.path, "--budget", "10", "--breadth", "1")
    assert ran.exit_code == 0
    said = "strict: no policy spares 99.9% of the accounts; the mildest spares 0.0%"
    assert said in " ".join(ran.output.split())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--budget", "0"], "expected whole numbers from 1 on, separated by commas, got '0'"),
        (["--budget", "ten"], "got 'ten'"),
        (["--class-cap", "never"], "from 1 on or 'off', separated by commas, got 'never'"),
        (["--budget", "1000000"], "expected budgets of at most"),
        (["--spare", "2"], "2"),
        (["--profile", "safe"], "safe"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    bundle: Bundle, log: Path, flags: list[str], words: str
) -> None:
    """With exit code 2 and a sentence."""
    ran = run(log, "--bundle", bundle.path, *flags)
    assert ran.exit_code == 2
    assert words in " ".join(ran.output.split())


def test_a_file_that_is_no_log_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """As `queen replay` refuses it."""
    path = tmp_path / "log"
    path.write_text("{}\n")
    ran = run(path, "--bundle", bundle.path)
    assert ran.exit_code == 2
    assert "expected queries of accounts under observe, got none" in ran.output

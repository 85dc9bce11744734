"""`queen replay`: exit codes, the table, the report and the first contradictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle, open_bundle
from queen.cli import main
from tests.bundles import make_bundle
from tests.unit.replay.written import WrittenLog


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle in which a handful of records spend a budget."""
    path = Path(tmp_path_factory.mktemp("replay")) / "bundle"
    make_bundle(path, coverage_fraction=0.1)
    return open_bundle(path)


@pytest.fixture
def log(bundle: Bundle, tmp_path: Path) -> Path:
    """A log of one account that crosses."""
    written = WrittenLog(bundle, budget=4)
    for turn in np.linspace(0, 20, 30):
        written.ask([AccountPolicy("alice")], [(0, 1, float(turn), 0.3 + turn / 40)])
    return written.write(tmp_path / "decisions.jsonl")


def run(*argv: object) -> Result:
    """The command's result."""
    return CliRunner().invoke(main, ["replay", *map(str, argv)])


def test_a_sound_log_exits_with_0(bundle: Bundle, log: Path, tmp_path: Path) -> None:
    """The table has the counts, and --json all of them."""
    ran = run(log, "--bundle", bundle.path, "--json", tmp_path / "report.json")
    assert ran.exit_code == 0, ran.output
    assert bundle.digest[:12] in ran.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["is_reproduced"] is True
    assert report["rows"] == report["reproduced"] == 30
    assert report["verdicts"]["REVERSE"] > 0
    assert report["bundle_digest"] == bundle.digest


def test_a_contradiction_exits_with_1_and_says_where(bundle: Bundle, log: Path) -> None:
    """File, line, query, expected and got."""
    text = log.read_text().replace('"REVERSE"', '"PRESERVE"')
    log.write_text(text)
    ran = run(log, "--bundle", bundle.path)
    assert ran.exit_code == 1
    line = next(n for n, one in enumerate(text.splitlines(), 1) if '"ACCOUNT"' in one)
    assert f"wrong {log}:{line}, query 0: verdict: expected REVERSE, got PRESERVE" in ran.output


def test_more_contradictions_than_are_shown_are_counted(bundle: Bundle, log: Path) -> None:
    """A log of another budget contradicts everywhere; the terminal stays readable."""
    log.write_text(log.read_text().replace('"sqs":[0', '"sqs":[1'))
    ran = run(log, "--bundle", bundle.path)
    assert ran.exit_code == 1
    assert ran.output.count("wrong ") == 20
    assert "and more: 30 queries contradict in all" in ran.output


def test_what_was_left_out_is_told(bundle: Bundle, log: Path) -> None:
    """A line that is cut off, lines that were there twice, and lines of others."""
    other = json.dumps({"logger": "peer", "msg": "peer serves"})
    log.write_text(f"{other}\n{log.read_text()[:-9]}")
    ran = run(log, log, "--bundle", bundle.path)
    assert ran.exit_code == 0, ran.output
    assert f"{log}: the last line is cut off, and left out" in ran.output
    assert "29 lines were there twice, and left out" in ran.output
    assert "2 lines are no decision records, and left out" in ran.output


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda log: log.write_text("what?\n"), ":1: expected a line of JSON"),
        (lambda log: log.unlink(), "no such file"),
    ],
)
def test_bad_input_exits_with_2(bundle: Bundle, log: Path, spoil: object, words: str) -> None:
    """A log that cannot be read is a sentence with the file and its fault."""
    spoil(log)  # type: ignore[operator]
    ran = run(log, "--bundle", bundle.path)
    assert ran.exit_code == 2
    assert ran.output.startswith("queen: ")
    assert words in ran.output


def test_a_bundle_that_is_none_exits_with_2(log: Path, tmp_path: Path) -> None:
    """A missing bundle is bad input, too."""
    assert run(log, "--bundle", tmp_path / "none").exit_code == 2

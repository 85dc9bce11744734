"""`make siege`: the services at their pods' limits, under all that callers can do to them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from queen.bench.machine import describe_machine
from tests.siege.castle import Castle, open_castle
from tests.siege.judgement import problems_of
from tests.siege.rows import besieged_row, drain_row, recovery_row
from tests.siege.strangers import STRANGERS

FLOODS = tuple(f"{mode}-{count}" for mode in ("bulk", "cancelling") for count in (1, 2, 3))
ACTS = (*STRANGERS, *FLOODS)
ROTATIONS = (
    "tests/integration/inference/test_credentials.py::"
    "test_credentials_turn_over_without_a_failed_request",
    "tests/integration/inference/test_tls.py::test_renewals_under_calls_lose_no_request",
    "tests/integration/inference/test_secrets.py::"
    "test_a_rotation_changes_an_owners_answers_once_and_fails_no_request",
)
OTHERS = ("recoveries", "drain", "rotations")


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="Length of each period.")
@click.option("--rate", default=20.0, show_default=True, help="Requests a second of the victim.")
@click.option("--only", multiple=True, type=click.Choice([*ACTS, *OTHERS]), help="These rows.")
@click.option("--json", "path", default=Path("build/siege.json"), type=click.Path(path_type=Path))
def main(seconds: float, rate: float, only: tuple[str, ...], path: Path) -> None:
    """Besiege, print a table, judge; exit code 1 if a row breaks its promise."""
    chosen = only or (*ACTS, *OTHERS)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, open_castle(Path(folder)) as castle:
        kinds = {name: cell.kind for name, cell in castle.cells.items()}
        if set(kinds.values()) != {"cgroup"}:
            click.echo("siege: no cgroups; address space is limited, processors are not", err=True)
        for act in ACTS:
            if act in chosen:
                rows.append(besieged_row(castle, act, rate, seconds))
                click.echo(f"siege: {act}", err=True)
        rows += _last_rows(castle, chosen, rate)
    if "rotations" in chosen:
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", *ROTATIONS], check=False)
        rows.append({"act": "rotations under load", "exit_code": done.returncode})
    problems = problems_of(rows)
    report = {"bench": "siege", "machine": describe_machine(), "seconds": seconds, "rate": rate}
    report |= {"limits": kinds, "rows": rows, "problems": problems}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    Console(width=150).print(table(rows))
    for problem in problems:
        click.echo(f"siege: {problem}", err=True)
    sys.exit(1 if problems else 0)


def _last_rows(castle: Castle, chosen: tuple[str, ...], rate: float) -> list[dict[str, Any]]:
    """The rows that end processes, after those that do not."""
    rows = []
    if "recoveries" in chosen:
        for service in ("sensitivity", "perturber"):
            for is_watched in (False, True):
                rows.append(recovery_row(castle, service, is_watched=is_watched))
                click.echo(f"siege: {rows[-1]['act']}", err=True)
    if "drain" in chosen:
        rows.append(drain_row(castle, rate))
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """All rows; those that are no period have words in place of figures."""
    result = Table(title="A victim beside hostile callers", title_justify="left")
    for column in ("act", "kept", "p99 (quiet)", "control p99 (quiet)", "cores", "RSS", "rest"):
        result.add_column(column)
    for row in rows:
        if "kept" not in row:
            rest = ", ".join(
                f"{name} {_short(value)}" for name, value in row.items() if name != "act"
            )
            result.add_row(row["act"], "", "", "", "", "", rest)
            continue
        result.add_row(
            row["act"],
            f"{100 * row['kept']:.0f} %",
            f"{row['p99_ms']:.0f} ({row['p99_quiet_ms']:.0f}) ms",
            f"{row['control_p99_ms']:.0f} ({row['control_p99_quiet_ms']:.0f}) ms",
            f"{row['cores']:.2f} ({row['cores_quiet']:.2f})",
            f"{row['rss_mib']:.0f} ({row['rss_grown_mib']:+.0f}) MiB",
            f"{row['log_bytes_per_call'] or 0:.0f} log bytes a call, "
            f"{row['without_verdict']:.0f} without verdict",
        )
    return result


def _short(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()

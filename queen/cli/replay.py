"""`queen replay`: computes every verdict of a decision log again."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from queen.bundle import open_bundle
from queen.cli.refusal import refusing
from queen.printable import printable
from queen.replay import ReplayReport, replay

EXIT_CONTRADICTED = 1
EXIT_REFUSED = 2
"""Exit code for a log or a bundle that cannot be read."""


@click.command(
    epilog="""\b
Examples:
  queen replay .queen/decisions.jsonl --bundle bundle
  queen replay decisions.jsonl* --bundle bundle --json report.json

Exit code 0 if every verdict came out the same, 1 if something contradicts, 2 for a log or a
bundle that cannot be read.
"""
)
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="Served bundle.")
@click.option(
    "--skip-other-bundles",
    is_flag=True,
    help="Leave the records of other bundles out; without it they end the replay.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), help="File for the report as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    logs: tuple[Path, ...],
    bundle: Path,
    skip_other_bundles: bool,
    out: Path | None,
) -> None:
    """Compute every verdict in LOG again, from the facts in it and the regions of BUNDLE.

    Give all files of a rotated log and the logs of all front doors at once: the records of
    every ledger are also compared with one another. The log holds neither account ids nor
    embeddings, and the replay needs none.
    """
    with refusing(EXIT_REFUSED):
        report = replay(logs, open_bundle(bundle), skip_other_bundles=skip_other_bundles)
        if out is not None:
            out.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    Console().print(render(report))
    explain(report)
    ctx.exit(0 if report.is_reproduced else EXIT_CONTRADICTED)


def render(report: ReplayReport) -> Table:
    """The counts of a replay as a table."""
    title = f"Replay with bundle {report.bundle_digest[:12]}"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right")
    table.add_column(style="dim", overflow="fold")
    for name, count, note in _lines(report):
        table.add_row(name, f"{count:,}", note)
    return table


def _lines(report: ReplayReport) -> list[tuple[str, int, str]]:
    causes = ", ".join(f"{name} {count:,}" for name, count in sorted(report.causes.items()))
    profiles = ", ".join(f"{name} {count:,}" for name, count in sorted(report.profiles.items()))
    modes = ", ".join(f"{name} {count:,}" for name, count in sorted(report.failure_modes.items()))
    refusals = ", ".join(f"{name} {count:,}" for name, count in sorted(report.refusals.items()))
    return [
        ("requests", report.requests, f"{report.first} to {report.last}"),
        ("queries", report.rows, profiles),
        *((name, report.verdicts[name], "") for name in ("PRESERVE", "RECORD")),
        ("REVERSE", report.verdicts["REVERSE"], causes),
        ("reproduced", report.reproduced, ""),
        ("contradicting", report.contradicting, ""),
        ("unassessed", report.unassessed_rows, f"failure modes: {modes}" if modes else ""),
        (
            "left out",
            report.left_out_rows,
            f"of {report.left_out_requests:,} requests: refused, or beyond their shares of the log",
        ),
        ("refused", report.refusals.total(), f"requests: {refusals}" if refusals else ""),
        ("accounts", report.accounts, f"groups {report.groups:,}" if report.groups else ""),
        ("ledgers", report.ledgers, "of a class, by owner and generation"),
        ("records", report.records, "in them"),
        ("broken chains", report.broken_chains, "records that contradict one another"),
        ("gaps", report.gaps, "records that the log does not hold"),
        ("unfounded", report.unfounded, "ledgers of owners that no records put over"),
        ("unshown", report.unshown, "the same, by records that the log may not hold"),
        ("stale", report.stale, "queries decided while another writer put their owner over"),
    ]


def explain(report: ReplayReport) -> None:
    """Print to stderr the lines that were left out, and the first contradictions."""
    for file in report.truncated:
        click.echo(f"{file}: the last line is cut off, and left out", err=True)
    for count, words in (
        (report.duplicates, "lines were there twice"),
        (report.other_bundles, "records are of other bundles"),
        (report.other_lines, "lines are no decision records"),
    ):
        if count:
            click.echo(f"{count:,} {words}, and left out", err=True)
    for contradiction in report.contradictions:
        click.echo(f"{click.style('wrong', fg='red')} {printable(str(contradiction))}", err=True)
    told, all_of_them = len(report.contradictions), report.contradicting + report.broken_chains
    if told and all_of_them > told:
        click.echo(f"and more: {report.contradicting:,} queries contradict in all", err=True)

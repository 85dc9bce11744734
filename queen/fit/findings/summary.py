"""Print the outcome of a fit at a terminal."""

from __future__ import annotations

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table

from queen.bundle import layout
from queen.fit.findings.coverage import ClassCoverage
from queen.fit.findings.honest_traffic import QUERIES
from queen.fit.outcome import MAP_FILE, FitOutcome

_MOST_CLASSES = 20


def print_outcome(outcome: FitOutcome, console: Console) -> None:
    """Print figures, classes and warnings of a finished fit."""
    console.print(
        Panel(
            _figures(outcome),
            title=f"[bold]{outcome.manifest.model_name}[/bold]",
            subtitle=f"bundle {outcome.manifest.digest[:12]}",
            expand=False,
        )
    )
    console.print(_classes(outcome))
    console.print(_honest(outcome))
    console.print(_prices(outcome))
    for warning in outcome.warnings:
        console.print(f"[yellow]![/yellow] {warning}", highlight=False)
    drawn = outcome.path / layout.REPORT / MAP_FILE
    console.print(f"Written: {outcome.path} (look at {drawn})", highlight=False, soft_wrap=True)


def _figures(outcome: FitOutcome) -> Table:
    report = outcome.report
    table = Table.grid(padding=(0, 2))
    for title, value in (
        ("protectee", _protectee(outcome)),
        ("input range", _input_range(outcome)),
        ("embedding", _embedding(outcome)),
        ("shadows", _shadows(outcome)),
        (
            "budget",
            f"{outcome.budget} records of a class are T = "
            f"{min(outcome.thresholds):.4f} to {max(outcome.thresholds):.4f}; "
            f"at most {report.largest_budget}",
        ),
        ("false flags", _false_flags(outcome)),
        ("time", f"{sum(outcome.seconds.values()):.1f} s"),
    ):
        table.add_row(f"[bold]{title}[/bold]", value)
    return table


def _protectee(outcome: FitOutcome) -> str:
    figures = outcome.report.protectee
    return (
        f"{figures['accuracy']:.1%} on its {outcome.report.samples:,} training samples, "
        f"{outcome.manifest.num_classes} classes, features {figures['features_tensor']} "
        f"({outcome.manifest.feature_width})"
    )


def _input_range(outcome: FitOutcome) -> str:
    bounds = outcome.manifest.input_range
    if bounds is None:
        return "no bounds; if numbers beyond some cannot occur, state them with --input-range"
    return f"numbers {bounds.describe()}; the front door refuses others (--input-range)"


def _embedding(outcome: FitOutcome) -> str:
    figures = outcome.report.mapping
    return (
        f"{figures['separability']['held_out']:.1%} of held-out samples nearest to their own "
        f"cluster center, {figures['inside']['held_out']:.1%} inside its region"
    )


def _shadows(outcome: FitOutcome) -> str:
    figures = outcome.report.shadows
    return (
        f"{figures['count']} x {figures['architecture']} on {figures['on']}, "
        f"{figures['steps']} steps, "
        f"{figures['accuracy']:.1%} accurate; reversal flips {figures['flip_rate']:.1%} of labels"
    )


def _classes(outcome: FitOutcome) -> Group:
    table = Table(
        title="If one account sent the whole training set",
        caption="inside: share of the answers in the class's region; "
        "records: kept in the ledger; cqs: their sum",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("class")
    for heading in ("samples", "inside", "records", "cqs", "T", "reverses"):
        table.add_column(heading, justify="right")
    rows = list(zip(outcome.report.classes, outcome.thresholds, strict=True))
    # With many classes, only those that are hardest to defend are shown.
    shown = rows if len(rows) <= _MOST_CLASSES else sorted(rows, key=_headroom)[:_MOST_CLASSES]
    for coverage, threshold in shown:
        table.add_row(
            coverage.name,
            f"{coverage.samples:,}",
            f"{coverage.inside:.0%}",
            f"{coverage.records:,}",
            f"{coverage.cqs:.4f}",
            f"{threshold:.4f}",
            "[green]yes[/green]" if coverage.cqs > threshold else "[yellow]never[/yellow]",
        )
    hidden = len(rows) - len(shown)
    return Group(table, f"and {hidden} classes with more headroom") if hidden else Group(table)


def _headroom(row: tuple[ClassCoverage, float]) -> float:
    return row[0].cqs / row[1]


def _prices(outcome: FitOutcome) -> Table:
    table = Table(
        title="The price of the profiles, against a thief with this model's own backbone",
        caption="over budget: answers of an account over its budget;  "
        "queen redteam measures real thieves\n"
        "a decoder reads the label from such answers of paper, safe and balanced; a decoy has none "
        "to tell: queen redteam --leak",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("profile")
    for heading in (
        *("labels changed, over budget", "refused, over budget", "L1 within", "L1 over"),
        "thief's copy",
    ):
        table.add_column(heading, justify="right")
    for price in outcome.prices:
        table.add_row(
            price.profile,
            f"{price.labels_changed:.1%}",
            f"{price.refused:.0%}",
            f"{price.mean_l1_within:.2f}",
            f"{price.mean_l1:.2f}",
            f"{price.thief_accuracy:.1%}",
        )
    return table


def _honest(outcome: FitOutcome) -> Table:
    """The kinds of honest traffic, each with the queries that an account of it may ask."""
    table = Table(
        title="Queries of an honest account within its budget, by its traffic",
        caption="on training samples; queen bench honest measures new samples, repeated items "
        "and drift",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("traffic")
    table.add_column("queries", justify="right")
    for kind, volume in outcome.honest_volumes.items():
        table.add_row(kind, f"over {QUERIES:,}" if volume is None else f"about {volume:,}")
    return table


def _false_flags(outcome: FitOutcome) -> str:
    flags = outcome.manifest.meter.false_flags
    return (
        f"the off-distribution meter flags {flags['1000']:.2%} of honest accounts "
        f"within 1,000 queries and {flags['10000']:.2%} within 10,000"
    )

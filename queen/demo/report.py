"""The report of the demo: figures as JSON, and a table on the screen."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class ThiefFigures:
    """The figures of a thief; accuracies are those of copies on the test set, 0 to 1.

    `clean` are the queries before the first reversal or refusal, of which `floor` is a copy, and
    `reversed` those that were reversed or refused. `undefended` is a copy of the protectee's own
    answers.
    """

    name: str
    title: str
    queries: int
    clean: int
    reversed: int
    undefended: float
    defended: float
    floor: float


@dataclass(frozen=True)
class CustomerFigures:
    """The figures of an honest account.

    `right` is the share of right labels among its answers, 0 to 1, and `own` that of the
    protectee's own answers to all of its queries. `changed` counts labels that are not the
    protectee's, and `refused` the queries without an answer; `first` is how many queries the
    account had asked before either happened, None if neither did.
    """

    name: str
    title: str
    queries: int
    right: float
    own: float
    changed: int
    refused: int
    first: int | None


@dataclass(frozen=True)
class DemoReport:
    """build/demo/report.json. Accuracies are 0 to 1, `chance` is that of a guess."""

    dataset: str
    profile: str
    budget: int
    breadth: int
    protectee: float
    chance: float
    thieves: list[ThiefFigures]
    customers: list[CustomerFigures]
    seed: int
    bundle_digest: str

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def print_report(report: DemoReport, console: Console) -> None:
    """Show all figures in a table, disappointing figures as well."""
    table = Table(
        title=f"Queen on {report.dataset}; the model is right on {_percent(report.protectee)}",
        title_justify="left",
    )
    table.add_column("who asks")
    table.add_column("queries", justify="right")
    table.add_column("without Queen", justify="right")
    table.add_column("with Queen", justify="right")
    table.add_column("what happened")
    for thief in report.thieves:
        table.add_row(
            f"a thief, {thief.title}",
            f"{thief.queries:,}",
            f"copy {_percent(thief.undefended)}",
            f"copy {_percent(thief.defended)}",
            f"{thief.clean:,} clean answers; a copy of these alone: {_percent(thief.floor)}",
        )
    table.add_section()
    for customer in report.customers:
        table.add_row(
            customer.title,
            f"{customer.queries:,}",
            f"right {_percent(customer.own)}",
            f"right {_percent(customer.right)}",
            what_happened(customer),
        )
    console.print(table)
    console.print(closing_sentence(report))


def closing_sentence(report: DemoReport) -> str:
    """The cost of the defense to thieves and customers, in words."""
    lost = max(thief.undefended - thief.defended for thief in report.thieves)
    paying = [customer for customer in report.customers if customer.first is not None]
    price = "No customer noticed anything."
    if paying:
        price = " ".join(
            f"{customer.title.capitalize()}: {what_happened(customer)}." for customer in paying
        )
    return (
        f"Under the profile {report.profile}, the defense cost the thieves up to "
        f"{100 * lost:.0f} points. {price}"
    )


def what_happened(customer: CustomerFigures) -> str:
    """The price that a customer paid, in words."""
    if customer.first is None:
        return "no label changed, no query refused"
    parts = []
    if customer.changed:
        parts.append(f"{customer.changed:,} labels changed")
    if customer.refused:
        parts.append(f"{customer.refused:,} queries refused")
    return f"{' and '.join(parts)}, the first after {customer.first:,} queries"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

"""`queen plan`: what other policies would have done to the accounts of a decision log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from queen.bundle import open_bundle
from queen.cli.refusal import refusing
from queen.method.contracts import SCOPES, Profile
from queen.method.crossing import CAP_OFF, OFF, cap_text
from queen.method.enforcement import Scope
from queen.planning import PlanOptions, PlanReport, plan
from queen.planning.policies import policy_text
from queen.planning.report import UNAFFECTED, exactness

EXIT_REFUSED = 2
"""Exit code for a log, a bundle or a policy that cannot be used."""
_SIGNS = {"": "", "at least": "≥", "at most": "≤"}
_PROFILES = [profile.value for profile in Profile if profile not in UNAFFECTED]


class _Numbers(click.ParamType[list[int]]):
    """Whole numbers from 1 on, separated by commas; `word` stands for `word_value`."""

    name = "numbers"

    def __init__(self, word: str = "", word_value: int = 0) -> None:
        self._words = {word: word_value} if word else {}

    def convert(self, value: Any, param: Any, ctx: Any) -> list[int]:
        """The numbers of a text."""
        if isinstance(value, list):
            return value
        numbers = []
        for part in str(value).split(","):
            value_of_part = int(part) if part.isascii() and part.isdigit() else 0
            stated = self._words.get(part, value_of_part)
            if not 0 < stated < 2**32:
                also = "".join(f" or '{word}'" for word in self._words)
                self.fail(
                    f"expected whole numbers from 1 on{also}, separated by commas, got {value!r}",
                    param,
                    ctx,
                )
            numbers.append(stated)
        return numbers


@click.command(
    epilog="""\b
Examples:
  queen plan .queen/decisions.jsonl* --bundle bundle
  queen plan decisions.jsonl* --bundle bundle --budget 100,300 --breadth 3 --class-cap off,10
  queen plan decisions.jsonl* --bundle bundle --spare 0.99 --plot plan.png --json plan.json
"""
)
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="Served bundle.")
@click.option(
    "--budget",
    "budgets",
    type=_Numbers(),
    default=[],
    help="Budgets to try, in records of a class.  [default: 50 to 1000, as the bundle has room]",
)
@click.option(
    "--breadth",
    "breadths",
    type=_Numbers(),
    default=[],
    help="Crossed classes that make an account over its budget, to try.  [default: 1,3,5]",
)
@click.option(
    "--class-cap",
    "class_caps",
    type=_Numbers(OFF, CAP_OFF),
    default=[],
    help="Budgets of one class that make it over as well, to try.  [default: 3,10,off]",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=click.Choice(_PROFILES),
    help="Profile to try; may be repeated.  [default: all]",
)
@click.option(
    "--spare",
    type=click.FloatRange(0, 1),
    default=0.999,
    show_default=True,
    help="Share of the accounts of which the chosen policy may change no answer.",
)
@click.option("--skip-other-bundles", is_flag=True, help="Leave the records of other bundles out.")
@click.option("--plot", type=click.Path(path_type=Path), help="File for a picture, PNG.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="File for the plan as JSON.")
def command(logs: tuple[Path, ...], bundle: Path, **given: Any) -> None:
    """Say what each policy would have done to the accounts under `observe` in LOG.

    The log must be written with `decision_log: all`. Give all files of a rotated log and the logs
    of all front doors at once. Groups are as they were when the log was written; every policy is
    tried on accounts and groups alike, whatever budgets they had.
    """
    out, plot = given.pop("out"), given.pop("plot")
    given["profiles"] = [Profile(name) for name in given["profiles"]]
    with refusing(EXIT_REFUSED):
        report = plan(logs, open_bundle(bundle), PlanOptions(**given))
        if out is not None:
            out.write_text(json.dumps(report.as_json(), indent=2) + "\n")
        if plot is not None:
            from queen.planning.plot import draw_plan  # noqa: PLC0415 - loads Matplotlib

            draw_plan(report, plot)
    console = Console()
    console.print(policy_table(report))
    for line in conclusions(report):
        console.print(line, highlight=False)
    if report.stories:
        console.print(day_table(report))
    for line in remarks(report):
        click.echo(line, err=True)


def policy_table(report: PlanReport) -> Table:
    """A row for each policy, the strictest first."""
    title = (
        f"{report.accounts:,} accounts under observe, {report.queries:,} queries, "
        f"{report.days[0]} to {report.days[-1]}"
    )
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False
    )
    for name in ("budget", "breadth", "cap", "accounts\nover", "median\nfirst"):
        table.add_column(name, justify="right", no_wrap=True)
    alike = profiles_by_scope(report)
    for profiles in alike:
        names = "\n".join(profiles)
        table.add_column(f"{names}\nspared\nchanged", justify="right", no_wrap=True)
    for finding in report.findings:
        policy, first = finding.policy, finding.median_first
        cells = [str(policy.budget), str(policy.breadth), cap_text(policy.class_cap)]
        cells.append(f"{finding.over:,} {finding.over / max(report.accounts, 1):4.0%}")
        cells.append("" if first is None else f"{first:,.0f}")
        for profile, *_ in alike:
            effect, is_chosen = finding.effects[profile], report.chosen[profile] == policy
            share = f"{_SIGNS[exactness(profile)]}{effect.changed:.1%}"
            cells.append(f"{effect.spared:,}{'*' if is_chosen else ' '}{share:>7}")
        table.add_row(*cells)
    table.caption = (
        "over: at the end of the log; first: queries of an account before that; spared: accounts "
        "of which no answer would have changed or been refused; changed: share of the answers "
        "that would have (≥ at least, ≤ at most)"
    )
    table.caption_justify = "left"
    return table


def profiles_by_scope(report: PlanReport) -> list[list[Profile]]:
    """The tried profiles, with those together under which the same queries are reversed."""
    alike: dict[Scope, list[Profile]] = {}
    for profile in report.chosen:
        alike.setdefault(SCOPES[profile], []).append(profile)
    return list(alike.values())


def conclusions(report: PlanReport) -> list[str]:
    """A sentence for profiles of one scope that names their chosen policy."""
    lines = []
    for profiles in profiles_by_scope(report):
        profile, names = profiles[0], ", ".join(profiles)
        policy = report.chosen[profile]
        if policy is None:
            best = max(finding.effects[profile].spared for finding in report.findings)
            share = best / max(report.accounts, 1)
            lines.append(
                f"{names}: no policy spares {report.spare:.1%} of the accounts; "
                f"the mildest spares {share:.1%}"
            )
        else:
            lines.append(
                f"{names}: the strictest policy that spares {report.spare:.1%} of the accounts "
                f"is {policy_text(policy)} (*)"
            )
    return lines


def day_table(report: PlanReport) -> Table:
    """Accounts over their budget at the end of each day, under the chosen policies."""
    chosen = [finding for finding in report.findings if finding.policy in report.stories]
    title = "Accounts over at the end of each day"
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False
    )
    table.add_column("day", no_wrap=True)
    for finding in chosen:
        table.add_column(policy_text(finding.policy), justify="right")
    for at, day in enumerate(report.days):
        table.add_row(day, *(f"{finding.over_by_day[at]:,}" for finding in chosen))
    return table


def remarks(report: PlanReport) -> list[str]:
    """Sentences about gaps in the log, and lines and accounts left out of the plan."""
    reading = report.reading
    most_off = max(finding.off_distribution for finding in report.findings)
    counts = (
        (
            most_off,
            "accounts at most are off-distribution under one of these policies, which no breadth "
            "and no cap changes",
        ),
        (report.exempt_accounts, "accounts are exempt, and left out"),
        (
            report.accounts_with_gaps,
            f"accounts lack records in the log ({report.gaps:,} gaps): they would have crossed "
            "earlier than told; is the log whole, and written with `all`?",
        ),
        (report.resets, "times an account or a group was erased, and began anew"),
        (report.contradictions, "records contradict one another: see queen replay"),
        (report.other_queries, "queries were not of accounts under observe, and are left out"),
        (report.partly_observed, "accounts were under observe for a part of the log only"),
        (
            report.mixed_groups,
            "groups have members that were not under observe, whose queries are not counted",
        ),
        (report.policies_without_room, "policies have a cap above the largest budget: left out"),
        (reading["unassessed_rows"], "queries had no verdict, and are left out"),
        (
            reading["left_out_rows"],
            "queries are not in the log, which their accounts filled too fast: see "
            "`decision_log_hours`",
        ),
        (reading["duplicates"], "lines were there twice, and left out"),
        (reading["other_bundles"], "records are of other bundles, and left out"),
        (reading["other_lines"], "lines are no decision records, and left out"),
    )
    lines = [f"{count:,} {words}" for count, words in counts if count]
    return lines + [f"{file}: the last line is cut off, left out" for file in reading["truncated"]]

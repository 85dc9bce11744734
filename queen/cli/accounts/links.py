"""`queen accounts links`: accounts that look like one customer's, for an operator to judge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from queen.cli.accounts.accounts_file import (
    NO_POLICIES,
    Policies,
    group_lines,
)
from queen.cli.accounts.admin_values import Link, Survey, SurveyedLinks
from queen.cli.accounts.deployment import Deployment, accounts_option, deployment_options
from queen.cli.accounts.tables import links_table
from queen.method.links.linkage import linked_groups
from queen.owners import group_owner


@dataclass(frozen=True)
class Suggestion:
    """Accounts that links join, and the group that they would have in common."""

    group: str
    accounts: tuple[str, ...]
    links: tuple[Link, ...]
    others: tuple[str, ...]
    """Other groups that some of the accounts are in."""

    def changes(self, policies: Policies) -> tuple[str, ...]:
        """The accounts that are not in the group yet."""
        return tuple(name for name in self.accounts if policies.group(name) != self.group)


@click.command(
    epilog="""\b
Examples:
  queen accounts links
  queen accounts links --accounts accounts.yaml --admin 127.0.0.1:8103
  queen accounts links --json

A link says that two accounts asked about the same images. It is a reason to look, not a
proof: two customers may use one public set of images. Accounts that split a set between
them have no image in common, and no link.
"""
)
@deployment_options
@accounts_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def links(deployment: Deployment, accounts: Path | None, as_json: bool) -> None:
    """Suggest accounts that belong in one group, by the links of the last survey."""
    policies = deployment.policies(accounts) or NO_POLICIES
    with deployment.client() as client:
        surveyed = client.links()
    suggestions = suggest(surveyed.links, policies)
    if as_json:
        click.echo(json.dumps(_as_json(surveyed, suggestions, policies), indent=2))
        return
    click.echo(survey_words(surveyed), err=True)
    if suggestions:
        groups = [(suggestion.group, suggestion.links) for suggestion in suggestions]
        Console().print(links_table(groups))
        click.echo(entry_lines(suggestions, policies))
    elif surveyed.survey is not None:
        click.echo("no link between accounts of different groups", err=True)


def suggest(links: Sequence[Link], policies: Policies) -> list[Suggestion]:
    """Groups of the accounts that links join, without links within a known group."""
    fresh = [link for link in links if not _is_known(link, policies)]
    pairs = [(link.account_id, link.other_account_id) for link in fresh]
    suggestions: list[Suggestion] = []
    used = {entry.group for entry in policies.entries.values()}
    free = (name for suffix in range(1, 10**9) if (name := f"linked-{suffix}") not in used)
    # Accounts of one group belong together already, whichever of them is linked.
    members = {account for pair in pairs for account in pair}
    grouped = [(group_owner(group), name) for name in members if (group := policies.group(name))]
    for joined in linked_groups([*pairs, *grouped]):
        accounts = tuple(name for name in joined if name in members)
        known = sorted({group for name in accounts if (group := policies.group(name))})
        suggestions.append(
            Suggestion(
                known[0] if known else next(free),
                accounts,
                tuple(link for link in fresh if link.account_id in accounts),
                tuple(known[1:]),
            )
        )
    return suggestions


def _is_known(link: Link, policies: Policies) -> bool:
    group = policies.group(link.account_id)
    return group is not None and group == policies.group(link.other_account_id)


def entry_lines(suggestions: Sequence[Suggestion], policies: Policies) -> str:
    """The lines that an operator who agrees writes into the entries of accounts.yaml."""
    lines = ["if they belong together, complete their entries in accounts.yaml:"]
    for suggestion in suggestions:
        if suggestion.others:
            others = ", ".join(map(json.dumps, suggestion.others))
            lines.append(f"  # some are in {others} now; one group's budget will be all theirs")
        lines += group_lines(suggestion.changes(policies), suggestion.group).splitlines()
    return "\n".join(lines)


def survey_words(surveyed: SurveyedLinks) -> str:
    """The survey in a few lines."""
    survey = surveyed.survey
    if survey is None:
        if not surveyed.survey_seconds:
            return "the service makes no surveys: its setting survey_seconds is 0"
        return f"no survey has ended yet; one begins every {surveyed.survey_seconds:g} s"
    when = datetime.fromtimestamp(survey.time_unix_nanos / 1e9, UTC).isoformat(timespec="seconds")
    at_least = "at least " if survey.classes_cut else ""
    words = (
        f"survey of {when}: {survey.accounts} accounts, {survey.accounts_over_budget} over the "
        f"default budget; as one account they would have spent {at_least}"
        f"{survey.budget_spent:.0%} of it, and cover {survey.region_covered:.0%} of a region"
    )
    left_out = _left_out(survey, len(surveyed.links))
    return f"{words}\nleft out: {left_out}" if left_out else words


def _left_out(survey: Survey, shown: int) -> str:
    counts = [
        (survey.accounts_not_compared, "accounts with few records"),
        (survey.records_not_compared, "records in crowded places"),
        (survey.pairs_not_compared, "pairs of accounts"),
        (survey.links_found - shown, "weaker links"),
    ]
    return ", ".join(f"{count} {noun}" for count, noun in counts if count)


def _as_json(
    surveyed: SurveyedLinks, suggestions: Sequence[Suggestion], policies: Policies
) -> dict[str, Any]:
    return {
        "survey": asdict(surveyed.survey) if surveyed.survey else None,
        "survey_seconds": surveyed.survey_seconds,
        "groups": [
            {
                "group": suggestion.group,
                "other_groups": list(suggestion.others),
                "accounts": list(suggestion.accounts),
                "to_change": list(suggestion.changes(policies)),
                "links": [asdict(link) for link in suggestion.links],
            }
            for suggestion in suggestions
        ],
    }

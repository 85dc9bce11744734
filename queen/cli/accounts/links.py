"""`queen accounts links`: accounts that look like one customer's, for an operator to judge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.admin_reach import accounts_option, asking, reaching
from queen.cli.accounts.policies import Policies, find_policies
from queen.method.linkage import linked_groups
from queen.owners import group_owner


@dataclass(frozen=True)
class Suggestion:
    """Accounts that links join, and the group that they would have in common."""

    group: str
    accounts: tuple[str, ...]
    links: tuple[pb.Link, ...]
    others: tuple[str, ...]
    """Other groups that some of the accounts are in."""

    def changes(self, policies: Policies) -> tuple[str, ...]:
        """The accounts that are not in the group yet."""
        return tuple(each for each in self.accounts if policies.group(each) != self.group)


@click.command(
    epilog="""\b
Examples:
  queen accounts links
  queen accounts links --accounts accounts.yaml --admin 127.0.0.1:8103
  queen accounts links --json

A link says that two accounts asked about the same images. It is a reason to look, not a
proof: two customers may use one public set of images. Accounts that split a set between
them have none in common, and no link.
"""
)
@reaching
@accounts_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def links(admin: str | None, state: Path, accounts: Path | None, as_json: bool) -> None:
    """Suggest which accounts belong into one group, by what the last survey found."""
    policies = find_policies(accounts, admin, state) or Policies({}, {})
    with asking(admin, state) as client:
        answer = client.links()
    suggestions = suggest(answer.links, policies)
    if as_json:
        click.echo(json.dumps(_as_json(answer, suggestions, policies), indent=2))
        return
    click.echo(survey_words(answer), err=True)
    if suggestions:
        Console().print(links_table(suggestions))
        click.echo(entry_lines(suggestions, policies))
    elif answer.HasField("survey"):
        click.echo("no link between accounts of different groups", err=True)


def suggest(found: Sequence[pb.Link], policies: Policies) -> list[Suggestion]:
    """Groups of the accounts that links join, without links inside of a known group."""
    fresh = [link for link in found if not _is_known(link, policies)]
    pairs = [(link.account_id, link.other_account_id) for link in fresh]
    suggestions: list[Suggestion] = []
    taken = {entry.group for entry in policies.entries.values()}
    numbers = (number for number in range(1, 10**9) if f"linked-{number}" not in taken)
    # Accounts of one group belong together already, whichever of them is linked.
    members = {account for pair in pairs for account in pair}
    grouped = [(group_owner(group), each) for each in members if (group := policies.group(each))]
    for joined in linked_groups([*pairs, *grouped]):
        accounts = tuple(each for each in joined if each in members)
        known = sorted({group for each in accounts if (group := policies.group(each))})
        suggestions.append(
            Suggestion(
                known[0] if known else f"linked-{next(numbers)}",
                accounts,
                tuple(link for link in fresh if link.account_id in accounts),
                tuple(known[1:]),
            )
        )
    return suggestions


def _is_known(link: pb.Link, policies: Policies) -> bool:
    group = policies.group(link.account_id)
    return group is not None and group == policies.group(link.other_account_id)


def links_table(suggestions: Sequence[Suggestion]) -> Table:
    """One line a link: what the two share, what chance explains, and the score."""
    count = sum(len(each.links) for each in suggestions)
    table = Table(
        title=f"{count} link{'s' * (count != 1)} between accounts",
        title_justify="left",
        caption="score: standard deviations above chance",
        caption_justify="left",
    )
    table.add_column("group", overflow="fold")
    table.add_column("account", overflow="fold")
    table.add_column("looks like", overflow="fold")
    for title in ("records in common", "by chance", "score"):
        table.add_column(title, justify="right")
    for suggestion in suggestions:
        for link in suggestion.links:
            table.add_row(
                Text(suggestion.group),
                Text(link.account_id),
                Text(link.other_account_id),
                f"{link.shared_records} of {link.records}",
                f"{link.expected_records:.1f}",
                f"{link.score:.1f}",
            )
        table.add_section()
    return table


def entry_lines(suggestions: Sequence[Suggestion], policies: Policies) -> str:
    """What an operator who agrees writes into the entries of accounts.yaml."""
    lines = ["if they belong together, complete their entries in accounts.yaml:"]
    for suggestion in suggestions:
        if suggestion.others:
            others = ", ".join(map(json.dumps, suggestion.others))
            lines.append(f"  # some are in {others} now; one group's budget will be all theirs")
        for account in suggestion.changes(policies):
            # A JSON text is a YAML text, whatever characters an id has.
            lines.append(f"  - id: {json.dumps(account)}")
            lines.append(f"    group: {json.dumps(suggestion.group)}")
    return "\n".join(lines)


def survey_words(answer: pb.ListLinksResponse) -> str:
    """The survey in a few lines."""
    if not answer.HasField("survey"):
        if not answer.survey_seconds:
            return "the service makes no surveys: its setting survey_seconds is 0"
        return f"no survey has ended yet; one begins every {answer.survey_seconds:g} s"
    survey = answer.survey
    when = datetime.fromtimestamp(survey.time_unix_nanos / 1e9, UTC).isoformat(timespec="seconds")
    at_least = "at least " if survey.classes_cut else ""
    words = (
        f"survey of {when}: {survey.accounts} accounts, {survey.accounts_over_budget} over the "
        f"default budget; as one account they would have spent {at_least}"
        f"{survey.budget_spent:.0%} of it, and cover {survey.region_covered:.0%} of a region"
    )
    left = [
        (survey.accounts_not_compared, "accounts with few records"),
        (survey.records_not_compared, "records in crowded places"),
        (survey.pairs_not_compared, "pairs of accounts"),
        (survey.links_found - len(answer.links), "weaker links"),
    ]
    left_out = ", ".join(f"{count} {what}" for count, what in left if count)
    return f"{words}\nleft out: {left_out}" if left_out else words


def _as_json(
    answer: pb.ListLinksResponse, suggestions: Sequence[Suggestion], policies: Policies
) -> dict[str, Any]:
    return {
        "survey": _fields(answer.survey) if answer.HasField("survey") else None,
        "survey_seconds": answer.survey_seconds,
        "groups": [
            {
                "group": each.group,
                "other_groups": list(each.others),
                "accounts": list(each.accounts),
                "to_change": list(each.changes(policies)),
                "links": [_fields(link) for link in each.links],
            }
            for each in suggestions
        ],
    }


def _fields(message: Message) -> dict[str, Any]:
    """All fields of a flat message by name, those that are 0 too."""
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}

"""Tables of accounts, links and changes for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from queen.cli.accounts.accounts_file import Policies
from queen.cli.accounts.admin_values import Account, AccountSummary, ClassLedger, Link
from queen.method.crossing import CAP_OFF, UNSTATED
from queen.operators import AuditEntry
from queen.owners import is_group
from queen.printable import printable

_BAR = 20
"""Characters of a full bar."""


def accounts_table(summaries: Sequence[AccountSummary], policies: Policies | None = None) -> Table:
    """A line for each account and group: how much of its budget is spent, meter and policy."""
    groups = sum(is_group(summary.account_id) for summary in summaries)
    title = _count(len(summaries) - groups, "account")
    if groups:
        title += f", {_count(groups, 'group')}"
    table = Table(title=title, title_justify="left")
    table.add_column("account", overflow="fold")
    table.add_column("records", justify="right")
    table.add_column("budget", justify="right")
    table.add_column("spent, in the fullest class")
    table.add_column("crossed classes")
    table.add_column("off-distribution", justify="right")
    if policies is not None:
        table.add_column("policy", overflow="fold")
    for summary in summaries:
        is_exempt = policies is not None and policies.is_exempt(summary.account_id)
        words = [] if policies is None else [_text(policies.words(summary.account_id))]
        table.add_row(
            _text(summary.account_id),
            str(summary.records),
            _budget(summary, policies),
            bar(summary.budget_spent),
            _crossed(summary, is_exempt=is_exempt),
            level(summary.off_distribution),
            *words,
        )
    return table


def account_table(
    account: Account, names: Sequence[str], policies: Policies | None = None
) -> Table:
    """A line for each class: records, cqs, threshold T and cqs as a share of T."""
    summary = account.summary
    policy = policies.words(summary.account_id) if policies else ""
    facts = (
        f"bundle {account.bundle_digest[:12]}",
        f"T of a budget of {_budget(summary, policies)}",
        f"over its budget: {_over(summary)}",
        f"off-distribution meter {level(summary.off_distribution)}",
        policy,
    )
    table = Table(
        title=_text(f"{summary.account_id}: {summary.records} records"),
        title_justify="left",
        caption=Text("\n".join(map(printable, filter(None, facts)))),
        caption_justify="left",
    )
    for title in ("class", "records", "cqs", "T"):
        table.add_column(title, justify="left" if title == "class" else "right")
    table.add_column("spent")
    for ledger in sorted(account.classes, key=lambda ledger: ledger.label):
        name = names[ledger.label] if ledger.label < len(names) else ""
        table.add_row(
            _text(f"{ledger.label} {name}".strip()),
            str(_records(ledger, account)),
            f"{ledger.cqs:.4g}",
            f"{ledger.threshold:.4g}",
            bar(ledger.cqs / ledger.threshold if ledger.threshold > 0 else float("inf")),
        )
    return table


def links_table(groups: Sequence[tuple[str, Sequence[Link]]]) -> Table:
    """A line for each link of a suggested group: records in common, and how many by chance."""
    count = sum(len(links) for _, links in groups)
    table = Table(
        title=f"{_count(count, 'link')} between accounts",
        title_justify="left",
        caption="score: standard deviations above chance",
        caption_justify="left",
    )
    table.add_column("group", overflow="fold")
    table.add_column("account", overflow="fold")
    table.add_column("looks like", overflow="fold")
    for title in ("records in common", "by chance", "score"):
        table.add_column(title, justify="right")
    for group, links in groups:
        for link in links:
            table.add_row(
                _text(group),
                _text(link.account_id),
                _text(link.other_account_id),
                f"{link.shared_records} of {link.records}",
                f"{link.expected_records:.1f}",
                f"{link.score:.1f}",
            )
        table.add_section()
    return table


def audit_table(entries: Sequence[AuditEntry]) -> Table:
    """A line for each change."""
    table = Table(title=f"{len(entries)} entries", title_justify="left")
    for title in ("time", "actor", "action", "account hash", "records before", "reason"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        words = (entry.time, entry.actor, entry.action, entry.account_hash)
        table.add_row(*map(_text, (*words, str(entry.records_before), entry.reason)))
    return table


def bar(share: float) -> Text:
    """A share of a budget as a bar; full and red above 1."""
    filled = round(_BAR * min(share, 1.0))
    color = "red" if share > 1 else "yellow" if share > 0.8 else "green"
    text = Text("█" * filled, color).append("░" * (_BAR - filled), "dim")
    return text.append(f" {share:.0%}")


def level(share: float) -> Text:
    """The off-distribution meter as a share of its limit, marked "off" from 1 on."""
    # Never above 100 %, since the limit is stored rounded up; and below the limit never 100 %.
    text = f"{int(100 * min(share, 1.0))}%"
    return Text(f"off {text}", "red") if share >= 1 else Text(text, "yellow" if share > 0.8 else "")


def _text(text: str) -> Text:
    """Text of others: no markup, and nothing that a terminal would obey."""
    return Text(printable(text))


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _budget(summary: AccountSummary, policies: Policies | None) -> str:
    """Records of a class, and whether that is the service's default."""
    own = policies is not None and policies.crossings.get(summary.account_id, UNSTATED).budget
    return str(summary.budget) if own else f"{summary.budget or ''} (default)".strip()


def _crossed(summary: AccountSummary, *, is_exempt: bool) -> Text:
    """Crossed classes, with their number and that at which the owner is over its budget."""
    if not summary.crossed_classes:
        return Text("none", "dim")
    share = f"({len(summary.crossed_classes)}/{summary.needed_classes})"
    text = f"{', '.join(map(str, summary.crossed_classes))} {share}"
    if not summary.is_over:
        return Text(text, "yellow")
    return Text(f"over: {text}", "dim" if is_exempt else "red")


def _over(summary: AccountSummary) -> str:
    """Whether an owner is over its budget, and what it takes."""
    share = f"{len(summary.crossed_classes)} of {summary.needed_classes} classes"
    limit = "" if summary.class_cap == CAP_OFF else f", class cap {summary.class_cap}"
    return f"{'yes' if summary.is_over else 'no'} ({share}{limit})"


def _records(ledger: ClassLedger, account: Account) -> int:
    """Records of a class: the wire carries embeddings of all classes at one width."""
    total = sum(other.embeddings.size for other in account.classes)
    width = total // max(account.summary.records, 1)
    return ledger.embeddings.size // max(width, 1)

"""The report as a page: tables in Markdown, copies beside the accuracy of honest accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from queen.redteam.report.leaks import LEAK_NOTES, Leaks, leak_cell
from queen.redteam.report.standings import OverSeeds, Standing

COLUMNS = (
    *("defense", "plain copy", "max over attacks", "by", "its fidelity"),
    *("leak", "clean-prefix floor", "label-only floor"),
    *("honest accuracy", "of", "by history", "harmed", "mean L1", "reversed"),
)
NOTES = f"""\
Accuracies are on the test set, in percent: mean ± standard deviation over seeds. *Plain copy*
learns the answers as they are; *max over attacks* is the most accurate copy of each seed, over the
attacks that were run, *by* names the strongest, and *its fidelity* is how often it agrees with the
protectee. *Clean-prefix floor* is a copy of the answers before each account's first reversal or
refusal, drawn halfway to their labels (queries in brackets), *label-only floor* a copy of the
protectee's labels of the same queries, or of all queries where a defense has no verdicts: no later
answer brings a thief below them. *Honest accuracy* is of the answers to fresh accounts that send
images nobody trained on, 10,000 where there are so many, *of* the kind of traffic that the defense
harms most; *by history* tells it after so many queries; *harmed* are the queries whose label was
changed or that were refused. The kinds have a table of their own. *Mean L1* and *reversed* are of
the plain copy's traffic.

{LEAK_NOTES}"""


def render_report(
    standings: Sequence[Standing],
    leaks: Leaks,
    command: str,
    left_out: str,
    unmeasured: Sequence[str],
) -> str:
    """The page."""
    parts = [f"# Red team\n\n`{command}`\n\n{NOTES}", *render_standings(standings, leaks, "##")]
    parts += ["## Every attack\n", attack_table(standings), ""]
    parts += ["## Honest accounts by their traffic\n", KIND_NOTES, kind_table(standings), ""]
    if left_out:
        parts += [f"## Left out\n\n{left_out}\n"]
    if unmeasured:
        parts += [
            f"Without a copy in this run, {len(unmeasured)} cells:\n",
            *_items(unmeasured),
            "",
        ]
    return "\n".join(parts)


def render_standings(standings: Sequence[Standing], leaks: Leaks, level: str) -> list[str]:
    """A heading and a table for each setting, headings of this `level`."""
    groups: dict[str, list[Standing]] = {}
    for standing in standings:
        groups.setdefault(setting_title(standing), []).append(standing)
    lines: list[str] = []
    for title, group in groups.items():
        cells = [_cells(standing, leaks) for standing in group]
        lines += [f"{level} {title}\n", table(COLUMNS, cells), ""]
    return lines


def setting_title(standing: Standing) -> str:
    """Data, queries, pool and accounts in words."""
    key = standing.key
    accounts = "one account"
    if key["accounts"] > 1:
        accounts = f"{key['accounts']} accounts, {'one group' if key['linked'] else 'no group'}"
    company = f", ensembles of {key['members']} copies" if key["members"] > 1 else ""
    return f"{key['dataset']}, {key['queries']:,} queries, {key['pool']} pool, {accounts}{company}"


def percent(figure: OverSeeds | None) -> str:
    """A share as `84.2 ± 0.3`, in percent; a dash where there is none."""
    if figure is None:
        return "-"
    sd = "" if figure.sd is None else f" ± {100 * figure.sd:.1f}"
    return f"{100 * figure.mean:.1f}{sd}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(standing: Standing, leaks: Leaks) -> list[str]:
    figures, traffic = standing.figures, standing.traffic
    length = figures["clean_prefix_queries"]
    floor = percent(figures["clean_prefix_floor"])
    moved = traffic["mean_l1"]
    return [
        standing.title,
        percent(standing.plain),
        f"**{percent(standing.worst)}**",
        standing.worst_attack,
        percent(standing.fidelities[standing.worst_attack]),
        leak_cell(leaks, standing.key),
        floor if length is None else f"{floor} ({length.mean:,.0f})",
        percent(figures["label_only_floor"]),
        percent(figures["honest_accuracy"]),
        standing.honest_kind or "-",
        _history(standing),
        percent(figures["honest_harmed"]),
        "-" if moved is None else f"{moved.mean:.2f}",
        percent(traffic["reversed_fraction"]),
    ]


def _history(standing: Standing) -> str:
    points = [f"{asked:,}: {100 * at.mean:.0f}" for asked, at in standing.curve if at is not None]
    return ", ".join(points) or "-"


def attack_table(standings: Sequence[Standing]) -> str:
    """Every attack on every defense as a table, the strongest first."""
    rows = [
        [
            setting_title(standing),
            standing.title,
            name,
            percent(accuracy),
            percent(standing.fidelities[name]),
            str(accuracy.seeds),
        ]
        for standing in standings
        for name, accuracy in sorted(
            standing.attacks.items(), key=lambda item: item[1].mean, reverse=True
        )
    ]
    return table(("setting", "defense", "attack", "copy", "fidelity", "seeds"), rows)


KIND_NOTES = """\
Of each kind, the share of the queries that were harmed (label changed, or refused), and in brackets
the share that were answered right, in percent. Accounts of few classes and of Zipf draw their
classes, and are easier or harder by them.
"""


def kind_table(standings: Sequence[Standing]) -> str:
    """The kinds of honest traffic under every defense; a defense stands once."""
    defended = {_honest_key(standing): standing for standing in standings if standing.kinds}
    names = list(dict.fromkeys(kind for standing in defended.values() for kind in standing.kinds))
    rows = [
        [dataset, title, *(_kind_cell(standing, name) for name in names)]
        for (dataset, title), standing in defended.items()
    ]
    return table(("data", "defense", *names), rows)


def _honest_key(standing: Standing) -> tuple[str, str]:
    return str(standing.key["dataset"]), standing.title


def _kind_cell(standing: Standing, name: str) -> str:
    kind = standing.kinds.get(name)
    if kind is None:
        return "-"
    shown = f"{percent(kind.harmed)} ({percent(kind.accuracy)})"
    return f"**{shown}**" if name == standing.honest_kind and kind.harmed else shown


def _items(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]

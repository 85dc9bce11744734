"""The report as a page: tables in Markdown, copies beside the accuracy of honest accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from queen.redteam.report.leaks import LEAK_NOTES, Leaks, leak_cell
from queen.redteam.report.picture import PICTURE, main_setting
from queen.redteam.report.standings import OverSeeds, Standing

COLUMNS = (
    *("defense", "met", "best copy", "by", "its fidelity", "plain copy"),
    *("clean-prefix floor", "label-only floor", "leak"),
    *("harmed", "of", "answered right", "mean L1", "reversed"),
)
NOTES = f"""\
Accuracies are on the test set, in percent: mean ± standard deviation over seeds. *Met* are the
attacks that the defense met, and the seeds: of two defenses, the one that met fewer attacks may
only look better. *Best copy* is the most accurate copy of each seed over these attacks, *by* names
the strongest (x3: with an ensemble of 3 copies), and *its fidelity* is how often it agrees with the
protectee. *Plain copy* learns the answers as they are. *Clean-prefix floor* is a copy of the
answers before each account's first reversal or refusal, drawn halfway to their labels (queries in
brackets), *label-only floor* a copy of the protectee's labels of the same queries, or of all
queries where a defense has no verdicts: no later answer brings a thief below them. *Harmed* are the
queries of a fresh honest account, 10,000 where there are so many images that nobody trained on,
whose label was changed or that were refused, and *answered right* those with a right label; both
*of* the kind of traffic that the defense harms most. *Mean L1* and *reversed* are of the plain
copy's traffic.

{LEAK_NOTES}"""
KIND_NOTES = """\
Of each kind, the share of the queries that were harmed (label changed, or refused), and in brackets
the share that were answered right, in percent. Accounts of few classes and of Zipf draw their
classes, and are easier or harder by them. Defenses that harm no query are left out.
"""
_OTHER_COLUMNS = (
    *("queries", "pool", "accounts", "defense", "met", "best copy", "by", "plain copy"),
    *("clean-prefix floor", "reversed"),
)


def render_report(
    standings: Sequence[Standing],
    leaks: Leaks,
    command: str,
    left_out: str,
    unmeasured: Sequence[str],
) -> str:
    """The page."""
    picture = f"![Thieves and customers]({PICTURE})\n"
    parts = [
        f"# Red team\n\n`{command}`\n",
        picture,
        NOTES,
        *render_standings(standings, leaks, "##"),
    ]
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
    """The tables of a run, under headings of this `level`: the main setting, then the others."""
    if not standings:
        return []
    main = main_setting(standings)
    others = [standing for standing in standings if standing not in main]
    cells = [_cells(standing, leaks) for standing in main]
    lines = [f"{level} {setting_title(main[0])}\n", table(COLUMNS, cells), ""]
    if any(_harms(standing) for standing in main):
        lines += [f"{level} Honest accounts by their traffic\n", KIND_NOTES, kind_table(main), ""]
    lines += [f"{level} Every attack\n", _ATTACK_NOTES, attack_table(main), ""]
    if others:
        cells = [_other_cells(standing) for standing in others]
        lines += [f"{level} Other settings\n", table(_OTHER_COLUMNS, cells), ""]
    return lines


def percent(figure: OverSeeds | None) -> str:
    """A share as `84.2 ± 0.3`, in percent; a dash where there is none."""
    if figure is None:
        return "-"
    sd = "" if figure.sd is None else f" ± {100 * figure.sd:.1f}"
    return f"{100 * figure.mean:.1f}{sd}"


def met_text(standing: Standing) -> str:
    """The numbers of attacks and seeds that a defense met."""
    attacks = "1 attack" if standing.met == 1 else f"{standing.met} attacks"
    seeds = "1 seed" if standing.worst.seeds == 1 else f"{standing.worst.seeds} seeds"
    return f"{attacks}, {seeds}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def setting_title(standing: Standing) -> str:
    """Data, queries, pool and accounts in words."""
    key = standing.key
    return (
        f"{key['dataset']}, {key['queries']:,} queries, {key['pool']} pool, "
        f"{_accounts_text(standing)}"
    )


def _accounts_text(standing: Standing) -> str:
    """The accounts of a thief in words."""
    accounts = standing.key["accounts"]
    if accounts == 1:
        return "one account"
    return f"{accounts} accounts, {'one group' if standing.key['linked'] else 'no group'}"


def _cells(standing: Standing, leaks: Leaks) -> list[str]:
    figures, moved = standing.figures, standing.traffic["mean_l1"]
    return [
        standing.title,
        met_text(standing),
        f"**{percent(standing.worst)}**",
        standing.worst_attack,
        percent(standing.fidelities[standing.worst_attack]),
        percent(standing.plain),
        _floor_cell(standing),
        percent(figures["label_only_floor"]),
        leak_cell(leaks, standing.key),
        percent(figures["honest_harmed"]),
        standing.honest_kind or "-",
        percent(figures["honest_accuracy"]),
        "-" if moved is None else f"{moved.mean:.2f}",
        percent(standing.traffic["reversed_fraction"]),
    ]


def _other_cells(standing: Standing) -> list[str]:
    return [
        f"{standing.key['queries']:,}",
        str(standing.key["pool"]),
        _accounts_text(standing),
        standing.title,
        met_text(standing),
        f"**{percent(standing.worst)}**",
        standing.worst_attack,
        percent(standing.plain),
        _floor_cell(standing),
        percent(standing.traffic["reversed_fraction"]),
    ]


def _floor_cell(standing: Standing) -> str:
    """A copy of the clean answers, with their number."""
    length, floor = standing.figures["clean_prefix_queries"], standing.figures["clean_prefix_floor"]
    return percent(floor) if length is None else f"{percent(floor)} ({length.mean:,.0f})"


_ATTACK_NOTES = """\
The accuracy of each attack's copy, in percent; without a deviation it is of one seed. A dash: the
defense did not meet the attack.
"""


def attack_table(standings: Sequence[Standing]) -> str:
    """The copies of every attack, a column for each defense; attacks in order of their best."""
    best: dict[str, float] = {}
    for standing in standings:
        for attack, copy in standing.attacks.items():
            best[attack] = max(best.get(attack, 0.0), copy.mean)
    rows = [
        [attack, *(percent(standing.attacks.get(attack)) for standing in standings)]
        for attack in sorted(best, key=lambda attack: -best[attack])
    ]
    return table(("attack", *(standing.title for standing in standings)), rows)


def kind_table(standings: Sequence[Standing]) -> str:
    """The kinds of honest traffic under every defense that harms any."""
    shown = [standing for standing in standings if _harms(standing)]
    names = list(dict.fromkeys(kind for standing in shown for kind in standing.kinds))
    rows = [[standing.title, *(_kind_cell(standing, name) for name in names)] for standing in shown]
    return table(("defense", *names), rows)


def _harms(standing: Standing) -> bool:
    harmed = standing.figures["honest_harmed"]
    return harmed is not None and harmed.mean > 0


def _kind_cell(standing: Standing, name: str) -> str:
    kind = standing.kinds.get(name)
    if kind is None:
        return "-"
    shown = f"{percent(kind.harmed)} ({percent(kind.accuracy)})"
    return f"**{shown}**" if name == standing.honest_kind else shown


def _items(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]

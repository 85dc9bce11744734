"""The section on what the figures do not show, and on what they show against the defense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import fill

from queen.defaults import BREADTH, BUDGET, CLASS_CAP, PROFILE
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF
from queen.redteam.defenses import none
from queen.redteam.frontier.summary import Summary, summaries
from queen.redteam.plans.cell import QUEEN
from queen.redteam.plans.full import full_plan
from queen.redteam.plans.plan import IN, Plan
from queen.redteam.report.leaks import leak_of, read_leaks
from queen.redteam.report.markdown import percent
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import Standing, standings
from queen.results.files import learned_rows, red_team_file
from queen.results.opening import Line, opening_lines

_TITLE = "## What falls short\n"
NOISE = 0.015
"""The leak whose bound lies below is noise."""
_KEEPS_LABELS = (None, Profile.SAFE.value)
"""Baselines, and the profile that tells labels by design."""
_FEW = 0.5
"""The share of the default's attacks below which a defense has met few."""
_LITTLE = 0.05
"""The accuracy that a defense costs a thief, below which that is little."""
_LINE_LENGTH = 100


def shortfall_section(folder: Path) -> list[str]:
    """The section, a sentence for each shortfall, from the files in `folder`."""
    plan = full_plan()
    rows = learned_rows(red_team_file(folder, plan.dataset))
    frontier = summaries(learned_rows(folder / f"frontier-{plan.dataset}.json"))
    leaks = read_leaks(folder / f"leak-{plan.dataset}.json")
    lines = opening_lines(plan, rows)
    sentences = [
        *_of_thieves(lines),
        *_of_customers(lines),
        *_of_the_policy(frontier),
        *_of_pools(plan, rows),
        *_of_leaks(lines, leaks),
        *_of_the_measurement(plan, rows, lines),
        *_of_data(folder),
    ]
    return [_TITLE, *map(_item, sentences), ""]


def _item(sentence: str) -> str:
    """A sentence as an item of a list, in lines that fit a diff."""
    return fill(
        f"- {sentence}",
        _LINE_LENGTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _of_thieves(lines: Sequence[Line]) -> Iterator[str]:
    """How much of an undefended copy the default leaves."""
    default = _default(lines)
    undefended = next(line.standing for line in lines if line.key["defense"] == none.DEFENSE.name)
    if default is None or undefended is None:
        return
    floor = default.figures["clean_prefix_floor"]
    yield (
        f"Under the default the best copy has {percent(default.worst)} %, a copy of the answers "
        f"within the budget alone {percent(floor)} %, and one without a defense "
        f"{percent(undefended.worst)} %."
    )
    if undefended.worst.mean - default.worst.mean < _LITTLE:
        yield (
            "The budget is the defense, and on this data a weak one: the answers within it are "
            "enough for nearly the whole model."
        )


def _of_customers(lines: Sequence[Line]) -> Iterator[str]:
    """The kinds of customers that the default harms."""
    default = _default(lines)
    if default is None or not default.kinds:
        return
    harmed = [
        f"{percent(kind.harmed)} % ({name})"
        for name, kind in default.kinds.items()
        if kind.harmed and kind.harmed.mean > 0
    ]
    if harmed:
        yield (
            "Under the default honest accounts of 10,000 queries get a changed label or no answer "
            f"for {_listed(harmed)} of them."
        )


def _of_the_policy(frontier: Sequence[Summary]) -> Iterator[str]:
    """Findings of the frontier against the chosen policy."""
    chosen = chosen_policy(frontier)
    if chosen is None:
        return
    split = [
        f"{percent(worst.copy)} % with {accounts} ({worst.thief})"
        for accounts, worst in chosen.worst.items()
    ]
    if split:
        yield (
            "Accounts without a group have a budget each. Thieves who know the policy make copies "
            f"of clean answers of {_listed(split)} of them."
        )
    early = [
        f"{_of_hundred(kind.over)} ({name}, the first after {kind.earliest:,})"
        for name, kind in chosen.kinds.items()
        if kind.over > 0 and kind.earliest is not None
    ]
    if early:
        yield f"Honest accounts are over within 10,000 queries: {_listed(early)}."


def _of_pools(plan: Plan, rows: Sequence[Row]) -> Iterator[str]:
    """The copies from other images under the default."""
    copies = [
        f"{percent(standing.worst)} % ({standing.key['pool']})"
        for standing in standings_of_pools(plan, rows)
    ]
    if copies:
        yield f"With other images, the best copies under the default have {_listed(copies)}."


def _of_leaks(lines: Sequence[Line], leaks: Sequence[Row]) -> Iterator[str]:
    """The defenses that a rule undoes, and those whose leak is not known."""
    known = [(line, leak_of(leaks, line.key)) for line in lines]
    undone = [line for line, leak in known if leak and leak.bound and leak.bound > NOISE]
    misleading = [_name(line) for line in undone if line.key["profile"] not in _KEEPS_LABELS]
    if misleading:
        yield (
            f"The right rule undoes {_listed(misleading)}: their leak is above "
            f"{100 * NOISE:g} points. `safe` and the baselines that keep labels tell them."
        )
    elsewhere: dict[str, list[str]] = {}
    for line, leak in known:
        if leak and leak.policy:
            elsewhere.setdefault(leak.policy, []).append(_name(line))
    for policy, names in elsewhere.items():
        yield f"The leak of {_listed(names)} was measured at {policy}, not at today's policy."
    unknown = [_name(line) for line, leak in known if leak is None]
    if unknown and leaks:
        yield f"The leak of {_listed(unknown)} is not measured."
    seeds = {row["seed"] for row in leaks}
    if 0 < len(seeds) < len(full_plan().seeds):
        yield f"The leak was measured with {_seeds(len(seeds))}."


def _of_the_measurement(plan: Plan, rows: Sequence[Row], lines: Sequence[Line]) -> Iterator[str]:
    """Cells, defenses, attacks and seeds of the plan that are missing."""
    cells = plan.cells()
    measured = {row["cell"] for row in rows}
    count = sum(cell.name in measured for cell in cells)
    if count < len(cells):
        yield (
            f"Of the {len(cells)} cells that the plan knows from the start, {count} are measured. "
            "An attack that is missing may be the best one."
        )
    missing = [_name(line) for line in lines if line.standing is None]
    if missing:
        yield f"Not measured yet: {_listed(missing)}."
    measured_lines = [(line, line.standing) for line in lines if line.standing is not None]
    most = max((standing.met for _, standing in measured_lines), default=0)
    few = [
        f"{_name(line)} ({standing.met})"
        for line, standing in measured_lines
        if standing.met < _FEW * most
    ]
    if few:
        yield (
            f"Few of the {most} attacks met {_listed(few)}: their best copy is a lower bound of "
            "what a thief gets."
        )
    short: dict[int, list[str]] = {}
    for line, standing in measured_lines:
        if standing.worst.seeds < len(plan.seeds):
            short.setdefault(standing.worst.seeds, []).append(_name(line))
    for seeds, names in sorted(short.items()):
        yield f"Measured with {_seeds(seeds)} alone: {_listed(names)}."


def _of_data(folder: Path) -> Iterator[str]:
    """The data sets that are missing."""
    if not learned_rows(red_team_file(folder, "cifar10")):
        yield (
            "CIFAR-10 is not measured. Fashion-MNIST is easy: there, a thief needs few answers, "
            "so it hides what a budget is worth on harder data."
        )


def _of_hundred(share: float) -> str:
    return "all" if share == 1 else f"{100 * share:.0f} of 100"


def standings_of_pools(plan: Plan, rows: Sequence[Row]) -> list[Standing]:
    """The default against one account with images of each pool but the model's own."""
    return [
        standing
        for standing in standings(rows)
        if _is_default(standing.key)
        and standing.key["accounts"] == 1
        and standing.key["pool"] != IN
        and standing.key["queries"] == plan.queries
    ]


def chosen_policy(frontier: Sequence[Summary]) -> Summary | None:
    """The default's crossing policy in the frontier; None if the sweep left it out."""
    cap = None if CLASS_CAP == CAP_OFF else CLASS_CAP
    return next(
        (line for line in frontier if (line.breadth, line.class_cap) == (BREADTH, cap)), None
    )


def _default(lines: Sequence[Line]) -> Standing | None:
    return next(line.standing for line in lines if _is_default(line.key))


def _is_default(key: Row) -> bool:
    policy = (QUEEN, PROFILE.value, BUDGET, BREADTH, CLASS_CAP)
    names = ("defense", "profile", "budget", "breadth", "class_cap")
    return tuple(key[name] for name in names) == policy


def _name(line: Line) -> str:
    return line.title.replace(", the default", "")


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last

"""The picture of a report: what a thief gets of each defense, and what each kind of customer pays.

Every defense has a line of its own, and nothing is joined or ranked: the defenses of a picture may
have met different numbers of attacks, which stand beside their bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queen.redteam.datasets import DATASETS
from queen.redteam.report.axes import open_figure, save
from queen.redteam.report.standings import OverSeeds, Standing

PICTURE = "thieves-and-customers.png"
_CHANCE = 0.1
"""The accuracy of a guess: every data set has ten classes."""
_THIEF, _INK, _FAINT = "#c0392b", "#333333", "#999999"
_KIND_TITLES = {
    "even": "about\neverything",
    "one class": "one\nclass",
    "two classes": "two\nclasses",
    "four classes": "four\nclasses",
    "zipf": "mostly few\nclasses",
    "repeated items": "the same\nitems again",
    "drift": "slowly\nchanging\nimages",
}
_PALE = 0.35
"""The share of queries from which a cell is so dark that its figure is white."""


def draw_picture(lines: Sequence[tuple[str, Standing | None]], path: Path) -> None:
    """Draw a line for each title and its standing, from above; None for not measured."""
    standings = [standing for _, standing in lines if standing is not None]
    figure, (left, right) = open_figure(
        "How good is the best copy that a thief makes?",
        "How many queries of an honest customer get a changed label or no answer, in %?",
        height=0.42 * len(lines) + 2.0,
        widths=(1.25, 1),
    )
    _draw_thieves(left, lines, standings)
    _draw_customers(right, lines, standings)
    for axes in (left, right):
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    left.set_yticks(range(len(lines)), [title for title, _ in lines])
    right.set_yticks([])
    save(figure, path)


def main_setting(standings: Sequence[Standing]) -> list[Standing]:
    """The standings of the setting that most of them have: of its pool, accounts and queries."""
    groups: dict[tuple[object, ...], list[Standing]] = {}
    for standing in standings:
        setting = tuple(standing.key[name] for name in ("dataset", "pool", "accounts", "queries"))
        groups.setdefault(setting, []).append(standing)
    return max(groups.values(), key=len, default=[])


def _draw_thieves(
    axes: Any, lines: Sequence[tuple[str, Standing | None]], standings: Sequence[Standing]
) -> None:
    """Bars from a guess to the accuracy of the protectee."""
    low = 100 * _CHANCE if all(line.key["dataset"] in DATASETS for line in standings) else 0.0
    models = [standing.figures["protectee_accuracy"] for standing in standings]
    known = [100 * model.mean for model in models if model is not None]
    high = max([*known, *(100 * standing.worst.mean for standing in standings)], default=100.0)
    ends = [(low, "a guess" if low else "nothing"), *((high, "the model") for _ in known[:1])]
    for at, words in ends:
        axes.axvline(at, color=_FAINT, linewidth=1, linestyle=":", zorder=0)
        axes.text(at, -0.62, words, ha="center", va="bottom", color=_INK, fontsize=9)
    axes.set(
        xlim=(low, high + 0.02 * (high - low)),
        xlabel="accuracy of the copy, %; thin line: its deviation over seeds",
    )
    for line, (_, standing) in enumerate(lines):
        if standing is None:
            axes.text(low + 1, line, "not measured yet", va="center", color=_FAINT)
            continue
        copy = 100 * standing.worst.mean
        bar = 100 * (standing.worst.sd or 0)
        axes.barh(line, copy - low, left=low, height=0.72, color=_THIEF)
        axes.errorbar(copy, line, xerr=bar, fmt="none", ecolor=_INK, linewidth=1)
        # Within the bar if there is room, at its beginning: at its end lies the deviation.
        is_long = copy - low > (high - low) / 2
        at, ink = (low, "white") if is_long else (copy, _INK)
        axes.text(at + 1, line, _met(standing), va="center", color=ink, fontsize=9)


def _met(standing: Standing) -> str:
    attacks = "1 attack" if standing.met == 1 else f"best of {standing.met} attacks"
    seeds = "1 seed" if standing.worst.seeds == 1 else f"{standing.worst.seeds} seeds"
    return f"{100 * standing.worst.mean:.1f} %, {attacks}, {seeds}"


def _draw_customers(
    axes: Any, lines: Sequence[tuple[str, Standing | None]], standings: Sequence[Standing]
) -> None:
    """A cell for each kind of traffic, the darker the more it pays."""
    kinds = list(dict.fromkeys(kind for standing in standings for kind in standing.kinds))
    for line, (_, standing) in enumerate(lines):
        for column, kind in enumerate(kinds):
            known = standing.kinds.get(kind) if standing else None
            _draw_cell(axes, column, line, known.harmed if known else None)
    axes.set(xlim=(-0.5, max(len(kinds), 1) - 0.5), xlabel="customers ask ...")
    axes.set_xticks(range(len(kinds)), [_KIND_TITLES.get(kind, kind) for kind in kinds], fontsize=9)


def _draw_cell(axes: Any, column: int, line: int, harmed: OverSeeds | None) -> None:
    from matplotlib import colormaps  # noqa: PLC0415 - slow to import

    if harmed is None:
        axes.text(column, line, "-", ha="center", va="center", color=_FAINT)
        return
    # A root: a tenth of the queries must not look like none.
    color = colormaps["Blues"](0.05 + 0.85 * harmed.mean**0.5)
    axes.barh(line, 0.94, left=column - 0.47, height=0.86, color=color)
    ink = "white" if harmed.mean > _PALE else _INK
    words = f"{100 * harmed.mean:.1f}" if 0 < harmed.mean < 0.1 else f"{100 * harmed.mean:.0f}"
    axes.text(column, line, words, ha="center", va="center", color=ink, fontsize=9)

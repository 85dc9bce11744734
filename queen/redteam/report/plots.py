"""The pictures of a report, with accuracies in percent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from queen.redteam.report.axes import (
    Points,
    Style,
    Styles,
    draw_line,
    finish,
    open_figure,
    save,
    scale_by_counts,
)
from queen.redteam.report.standings import OverSeeds, Standing

_ALIKE = 0.005
"""Curves that differ by less at every point are drawn as one."""


def draw_plots(standings: Sequence[Standing], out: Path) -> list[Path]:
    """Write every picture into `out`, and return the files.

    A panel says so if the run has no cells for it.
    """
    drawings: dict[str, Callable[[Sequence[Standing], Path], None]] = {
        "clone_by_budget": draw_budgets,
        "pareto": draw_pareto,
        "honest_history": draw_history,
        "sybil": draw_sybil,
    }
    for name, draw in drawings.items():
        draw(standings, out / f"{name}.png")
    return [out / f"{name}.png" for name in drawings]


def draw_budgets(standings: Sequence[Standing], path: Path) -> None:
    """Copies against the queries they cost, and against the budget N, worst and plain."""
    figure, (left, right) = open_figure("Copies against queries", "Copies against the budget")
    alone = [standing for standing in standings if _is_usual(standing)]
    styles = Styles(map(_profile, alone))
    _draw_queries(left, alone, styles)
    finish(left, "queries sent", "plain copy (%)")
    ours = [standing for standing in _with_most_queries(alone) if standing.key["budget"]]
    for profile, group in _grouped(ours, _profile).items():
        style = styles[profile]
        plain = _points(group, "budget", lambda standing: standing.plain)
        draw_line(right, _points(group, "budget", _worst), style, f"{profile}, max over attacks")
        draw_line(right, plain, {**style, "linestyle": "--"}, f"{profile}, plain")
    floor = _points(ours, "budget", lambda standing: standing.figures["clean_prefix_floor"])
    dotted: Style = {"color": "0.3", "linestyle": ":", "marker": "_"}
    draw_line(right, floor, dotted, "clean-prefix floor")
    scale_by_counts(right, (standing.key["budget"] for standing in ours))
    finish(right, "budget N, records of a class", "copy (%)")
    save(figure, path)


def _draw_queries(axes: Any, alone: Sequence[Standing], styles: Styles) -> None:
    counts: set[float] = set()
    for title, group in _grouped(alone, lambda standing: standing.title).items():
        # Only the plain copy is drawn: runs with fewer queries rarely include every attack.
        points = _points(group, "queries", lambda standing: standing.plain)
        if len(points) > 1:
            draw_line(axes, points, styles[_profile(group[0])], title)
            counts |= {queries for queries, _ in points}
    scale_by_counts(axes, counts)


def draw_pareto(standings: Sequence[Standing], path: Path) -> None:
    """Copies against the honest accuracy: filled the worst copy, hollow the plain copy.

    The right panel shows the same with a line for each defense, since many share a point on the
    left.
    """
    figure, (left, right) = open_figure("Copies against honest accuracy", "The same, line by line")
    shown = _with_most_queries([standing for standing in standings if _is_usual(standing)])
    shown = [standing for standing in shown if standing.figures["honest_accuracy"] is not None]
    shown.sort(key=lambda standing: standing.worst.mean, reverse=True)
    styles = Styles(map(_profile, shown))
    for line, standing in enumerate(shown):
        honest = standing.figures["honest_accuracy"]
        style, x = styles[_profile(standing)], 100 * (honest.mean if honest else 0.0)
        _draw_pair(left, standing, style, at=x)
        _draw_pair(right, standing, style, at=line, is_lying=True)
        right.plot(x, line, "|", color="black", markersize=11, markeredgewidth=2)
    right.set_yticks(range(len(shown)), [standing.title for standing in shown], fontsize="small")
    finish(left, "accuracy of an honest account (%)", "copy (%)", legend=False)
    finish(right, "copy (%): filled worst, hollow plain; bar: honest account", "", legend=False)
    save(figure, path)


def _draw_pair(
    axes: Any, standing: Standing, style: Style, *, at: float, is_lying: bool = False
) -> None:
    """The plain and the worst copy, joined, above `at`, or to the right of it."""
    color, marker, worst = style["color"], style["marker"], 100 * standing.worst.mean

    def plot(*copies: float, form: str, **rest: Any) -> None:
        fixed = [at] * len(copies)
        axes.plot(*((copies, fixed) if is_lying else (fixed, copies)), form, color=color, **rest)

    if standing.plain is not None:
        plain = 100 * standing.plain.mean
        plot(plain, worst, form="-", linewidth=1)
        plot(plain, form=marker, markerfacecolor="white")
    plot(worst, form=marker)


def draw_history(standings: Sequence[Standing], path: Path) -> None:
    """The accuracy of an honest account against the number of its earlier queries."""
    figure, (axes,) = open_figure("Answers of an honest account")
    drawn: dict[str, Standing] = {}
    alike: dict[str, int] = {}
    for standing in standings:
        known = standing.title in drawn or not standing.curve or not _is_usual(standing)
        if not known:
            twin = next((name for name in drawn if _are_alike(drawn[name], standing)), None)
            drawn |= {} if twin else {standing.title: standing}
            alike[twin or standing.title] = alike.get(twin or standing.title, -1) + 1
    styles = Styles(drawn)
    for title, standing in drawn.items():
        points = [(float(asked), at) for asked, at in standing.curve if at is not None]
        label = f"{title}, and {alike[title]} like it" if alike[title] else title
        draw_line(axes, points, styles[title], label)
    # Histories begin at 0, which has no logarithm.
    ticks = sorted({asked for standing in drawn.values() for asked, _ in standing.curve})
    axes.set_xscale("symlog", linthresh=100)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    finish(axes, "queries asked before", "accuracy of an honest account (%)")
    save(figure, path)


def draw_sybil(standings: Sequence[Standing], path: Path) -> None:
    """The plain copy against the number of accounts that share the queries."""
    figure, (axes,) = open_figure("Queries split over accounts")
    usual = [
        standing for standing in standings if _is_usual_pool(standing) and standing.key["budget"]
    ]
    split = {standing.title for standing in usual if standing.key["accounts"] > 1}
    shown = _with_most_queries([standing for standing in usual if standing.title in split])
    styles = Styles(standing.title for standing in shown)
    for title, group in _grouped(shown, lambda standing: standing.title).items():
        for is_linked, name, line in ((False, "no group", "-"), (True, "one group", "--")):
            chosen = [
                standing
                for standing in group
                if standing.key["linked"] == is_linked or standing.key["accounts"] == 1
            ]
            points = _points(chosen, "accounts", lambda standing: standing.plain)
            if len(points) > 1:
                draw_line(axes, points, {**styles[title], "linestyle": line}, f"{title}, {name}")
    scale_by_counts(axes, (standing.key["accounts"] for standing in shown))
    finish(axes, "accounts that share the queries", "plain copy (%)")
    save(figure, path)


def _points(
    standings: Iterable[Standing], field: str, figure: Callable[[Standing], OverSeeds | None]
) -> Points:
    """A figure by the value of a key field; the first of several for the same value."""
    points: dict[float, OverSeeds] = {}
    for standing in standings:
        value = figure(standing)
        if value is not None:
            points.setdefault(float(standing.key[field]), value)
    return list(points.items())


def _grouped(
    standings: Iterable[Standing], name: Callable[[Standing], str]
) -> dict[str, list[Standing]]:
    groups: dict[str, list[Standing]] = {}
    for standing in standings:
        groups.setdefault(name(standing), []).append(standing)
    return groups


def _is_usual(standing: Standing) -> bool:
    """Whether a standing has the usual pool and a single account, which the pictures compare."""
    return _is_usual_pool(standing) and standing.key["accounts"] == 1


def _is_usual_pool(standing: Standing) -> bool:
    return bool(standing.key["pool"] == "in-distribution")


def _with_most_queries(standings: Sequence[Standing]) -> list[Standing]:
    most = max((standing.key["queries"] for standing in standings), default=0)
    return [standing for standing in standings if standing.key["queries"] == most]


def _are_alike(first: Standing, second: Standing) -> bool:
    pairs = zip(first.curve, second.curve, strict=False)
    return all(
        left is None or right is None or abs(left.mean - right.mean) < _ALIKE
        for (_, left), (_, right) in pairs
    )


def _profile(standing: Standing) -> str:
    """The title of a defense without its budget; each such title has its own color."""
    return standing.title.replace(f" n{standing.key['budget']}", "")


def _worst(standing: Standing) -> OverSeeds:
    return standing.worst

"""The pictures of a report. Accuracies are drawn in percent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from queen.redteam.aggregation import Spread, Standing

Points = list[tuple[float, Spread]]
_MARKERS = "osD^vPX<>ph*"


def draw_plots(standings: Sequence[Standing], out: Path) -> list[Path]:
    """Write every picture into `out`; the files. One that lacks its cells says so."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only drawing needs it

    mpl.use("Agg")
    drawings: dict[str, Callable[[Sequence[Standing], Path], None]] = {
        "clone_by_budget": draw_budgets,
        "pareto": draw_pareto,
        "honest_history": draw_history,
        "sybil": draw_sybil,
    }
    paths = []
    for name, draw in drawings.items():
        paths.append(out / f"{name}.png")
        draw(standings, paths[-1])
    return paths


def draw_budgets(standings: Sequence[Standing], path: Path) -> None:
    """Copies against the queries they cost, and against the budget N, worst and plain."""
    figure, (left, right) = _figure(2)
    alone = _alone(standings)
    styles = _Styles(standing.title for standing in alone)
    for title, group in _groups(alone, lambda standing: standing.title).items():
        points = _points(group, "queries", _worst)
        if len(points) > 1:
            _line(left, points, styles[title], title)
    _finish(left, "queries sent", "copy, max over attacks (%)", log=True)
    most = [standing for standing in alone if standing.key["queries"] == _usual_queries(alone)]
    ours = [standing for standing in most if standing.key["budget"] is not None]
    for profile, group in _groups(ours, _profile).items():
        style = styles[group[0].title]
        _line(right, _points(group, "budget", _worst), style, f"{profile}, max over attacks")
        plain = _points(group, "budget", lambda standing: standing.plain)
        _line(right, plain, {**style, "linestyle": "--"}, f"{profile}, plain")
    floor = _points(ours, "budget", lambda standing: standing.figures["clean_prefix_floor"])
    _line(right, floor, {"color": "0.3", "linestyle": ":", "marker": "_"}, "clean-prefix floor")
    _finish(right, "budget N, records of a class", "copy (%)", log=True)
    _save(figure, path)


def draw_pareto(standings: Sequence[Standing], path: Path) -> None:
    """The worst copy, and with a hollow mark the plain one, against the honest accuracy."""
    figure, (axes,) = _figure(1)
    alone = _alone(standings)
    most = [standing for standing in alone if standing.key["queries"] == _usual_queries(alone)]
    styles = _Styles(standing.title for standing in most)
    for standing in most:
        honest = standing.figures["honest_accuracy"]
        if honest is None:
            continue
        style, x = styles[standing.title], 100 * honest.mean
        color, marker = style["color"], style["marker"]
        if standing.plain is not None:
            plain = 100 * standing.plain.mean
            axes.plot([x, x], [plain, 100 * standing.worst.mean], color=color, linewidth=0.8)
            axes.plot(x, plain, marker, color=color, markerfacecolor="white")
        axes.errorbar(
            x,
            100 * standing.worst.mean,
            yerr=100 * (standing.worst.sd or 0),
            fmt=marker,
            color=color,
            label=standing.title,
        )
    _finish(axes, "accuracy of an honest account (%)", "copy (%): filled worst, hollow plain")
    _save(figure, path)


def draw_history(standings: Sequence[Standing], path: Path) -> None:
    """What an honest account gets against what it has asked before."""
    figure, (axes,) = _figure(1)
    alone = [standing for standing in _alone(standings) if standing.curve]
    styles = _Styles(standing.title for standing in alone)
    for title, group in _groups(alone, lambda standing: standing.title).items():
        points = [(float(place), at) for place, at in group[0].curve if at is not None]
        _line(axes, points, styles[title], title)
    # Histories begin at 0, which a logarithm does not have.
    axes.set_xscale("symlog", linthresh=100)
    _finish(axes, "queries asked before", "accuracy of an honest account (%)")
    _save(figure, path)


def draw_sybil(standings: Sequence[Standing], path: Path) -> None:
    """The worst copy against the number of accounts that share the queries."""
    figure, (axes,) = _figure(1)
    ours = [each for each in standings if each.key["budget"] is not None and _is_usual_pool(each)]
    spread = {each.title for each in ours if each.key["accounts"] > 1}
    shown = [each for each in ours if each.title in spread]
    shown = [each for each in shown if each.key["queries"] == _usual_queries(shown)]
    styles = _Styles(each.title for each in shown)
    for title, group in _groups(shown, lambda standing: standing.title).items():
        for linked, name, line in ((False, "no group", "-"), (True, "one group", "--")):
            chosen = [each for each in group if each.key["linked"] == linked or _is_single(each)]
            points = _points(chosen, "accounts", lambda standing: standing.plain)
            if len(points) > 1:
                _line(axes, points, {**styles[title], "linestyle": line}, f"{title}, {name}")
    axes.set_xscale("log", base=2)
    _finish(axes, "accounts that share the queries", "copy, plain (%)")
    _save(figure, path)


class _Styles:
    """A colour and a marker for each title, the same within a picture."""

    def __init__(self, titles: Iterable[str]) -> None:
        from matplotlib import colormaps  # noqa: PLC0415

        colors = colormaps["tab20"].colors  # type: ignore[attr-defined]
        # The dark half of the map first: the light one is for those beyond ten.
        order = [*colors[0::2], *colors[1::2]]
        self._styles = {
            title: {
                "color": order[place % len(order)],
                "marker": _MARKERS[place % len(_MARKERS)],
                "linestyle": "-",
            }
            for place, title in enumerate(dict.fromkeys(titles))
        }

    def __getitem__(self, title: str) -> dict[str, Any]:
        return self._styles[title]


def _figure(panels: int) -> tuple[Any, Sequence[Any]]:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(
        1, panels, figsize=(8.5 * panels, 5), layout="constrained", squeeze=False
    )
    return figure, list(axes[0])


def _finish(axes: Any, x: str, y: str, *, log: bool = False) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.set(xlabel=x, ylabel=y)
    if not handles:
        axes.text(0.5, 0.5, "no cells of this run", ha="center", transform=axes.transAxes)
    else:
        # Beside the picture: with twenty defences it would hide the points.
        axes.legend(
            handles,
            labels,
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            fontsize="small",
        )
        if log:
            axes.set_xscale("log")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure.savefig(path, dpi=130)
    plt.close(figure)


def _line(axes: Any, points: Points, style: dict[str, Any], label: str) -> None:
    if points:
        places, spreads = zip(*sorted(points, key=lambda point: point[0]), strict=True)
        axes.errorbar(
            places,
            [100 * each.mean for each in spreads],
            yerr=[100 * (each.sd or 0) for each in spreads],
            label=label,
            markersize=5,
            linewidth=1.3,
            **style,
        )


def _points(
    standings: Iterable[Standing], field: str, figure: Callable[[Standing], Spread | None]
) -> Points:
    """Figure by the value of a key field; the first of several at the same place."""
    found: dict[float, Spread] = {}
    for standing in standings:
        value = figure(standing)
        if value is not None:
            found.setdefault(float(standing.key[field]), value)
    return list(found.items())


def _groups(
    standings: Iterable[Standing], name: Callable[[Standing], str]
) -> dict[str, list[Standing]]:
    groups: dict[str, list[Standing]] = {}
    for standing in standings:
        groups.setdefault(name(standing), []).append(standing)
    return groups


def _alone(standings: Sequence[Standing]) -> list[Standing]:
    """The standings of one account with the usual pool, which the pictures compare."""
    return [standing for standing in standings if _is_single(standing) and _is_usual_pool(standing)]


def _is_single(standing: Standing) -> bool:
    return bool(standing.key["accounts"] == 1)


def _is_usual_pool(standing: Standing) -> bool:
    return bool(standing.key["pool"] == "in-distribution")


def _usual_queries(standings: Sequence[Standing]) -> int:
    return max((standing.key["queries"] for standing in standings), default=0)


def _profile(standing: Standing) -> str:
    return standing.title.replace(f" n{standing.key['budget']}", "")


def _worst(standing: Standing) -> Spread:
    return standing.worst

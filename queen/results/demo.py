"""The section on the demo."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from queen.redteam.report.markdown import percent, table
from queen.redteam.report.standings import over_seeds
from queen.results.files import Content, read_content

_TEXT = """## The demo

`queen demo --seed SEED` and `queen demo --dataset fashion-mnist`, with the defaults of the product;
mean ± standard deviation over the seeds. Every caller has an account of their own, at the services
on loopback. *Without* and *with* Queen: of a thief, the accuracy of the copy; of a customer, the
share of right labels among the answers. *Clean* are the queries before the first reversed or
refused one, *floor* a copy of their answers alone.
"""
_TITLES = (
    *("data", "budget", "seeds", "who asks", "queries", "without", "with", "clean", "floor"),
    *("labels changed", "refused"),
)


def demo_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each is the report.json of a run of the demo."""
    runs: dict[tuple[str, int], list[Content]] = {}
    for file in files:
        demo = read_content(file)
        runs.setdefault((demo["dataset"], demo["budget"]), []).append(demo)
    cells = [row for demos in runs.values() for row in _rows(demos)]
    return [_TEXT, table(_TITLES, cells), ""] if cells else []


def _rows(demos: list[Content]) -> list[list[str]]:
    """A line for each caller of the runs, which differ in their seed."""
    run = [demos[0]["dataset"], str(demos[0]["budget"]), str(len(demos))]
    thieves = zip(*(demo["thieves"] for demo in demos), strict=True)
    customers = zip(*(demo["customers"] for demo in demos), strict=True)
    callers = [*map(_thief_cells, thieves), *map(_customer_cells, customers)]
    return [[*run, *caller] for caller in callers]


def _thief_cells(runs: tuple[Content, ...]) -> list[str]:
    return [
        *(f"a thief, {runs[0]['title']}", f"{runs[0]['queries']:,}"),
        *(_percent(runs, name) for name in ("undefended", "defended")),
        *(f"{_mean(runs, 'clean'):,.0f}", _percent(runs, "floor"), "-", "-"),
    ]


def _customer_cells(runs: tuple[Content, ...]) -> list[str]:
    firsts = [run["first"] for run in runs if run["first"] is not None]
    clean = f"{mean(firsts):,.0f}" if firsts else "all"
    if 0 < len(firsts) < len(runs):
        clean += f", in {len(firsts)} of {len(runs)}"
    return [
        *(runs[0]["title"], f"{runs[0]['queries']:,}"),
        *(_percent(runs, name) for name in ("own", "right")),
        *(clean, "-"),
        *(f"{_mean(runs, name):,.0f}" for name in ("changed", "refused")),
    ]


def _percent(figures: tuple[Content, ...], name: str) -> str:
    return percent(over_seeds(figure[name] for figure in figures))


def _mean(figures: tuple[Content, ...], name: str) -> float:
    return float(mean(figure[name] for figure in figures))

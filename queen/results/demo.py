"""The section on the demo."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.markdown import table
from queen.results.files import Content, read_content

_TEXT = """## The demo

`queen demo --seed SEED` and `queen demo --dataset fashion-mnist`, with the defaults of the product.
Every caller has an account of their own, at the services on loopback. *Without* and *with* Queen:
of a thief, the accuracy of the copy; of a customer, the share of right labels among the answers.
*Clean* are the queries before the first reversed or refused one, *floor* a copy of their answers
alone.
"""
_TITLES = (
    *("data", "seed", "budget", "who asks", "queries", "without", "with", "clean", "floor"),
    *("labels changed", "refused"),
)


def demo_section(files: list[Path]) -> list[str]:
    """The section; each file is the report.json of a run of the demo."""
    cells = [row for file in files for row in _rows(read_content(file))]
    return [_TEXT, table(_TITLES, cells)]


def _rows(demo: Content) -> list[list[str]]:
    run = [demo["dataset"], str(demo["seed"]), str(demo["budget"])]
    thieves = [
        [
            *(f"a thief, {thief['title']}", f"{thief['queries']:,}"),
            *(_percent(thief["undefended"]), _percent(thief["defended"])),
            *(f"{thief['clean']:,}", _percent(thief["floor"]), "-", "-"),
        ]
        for thief in demo["thieves"]
    ]
    customers = [
        [
            *(customer["title"], f"{customer['queries']:,}"),
            *(_percent(customer["own"]), _percent(customer["right"])),
            *("all" if customer["first"] is None else f"{customer['first']:,}", "-"),
            *(f"{customer['changed']:,}", f"{customer['refused']:,}"),
        ]
        for customer in demo["customers"]
    ]
    return [[*run, *row] for row in (*thieves, *customers)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"

"""The attacks, defenses and pools as tables, for `--list` and for docs/redteam.md.

python -m queen.redteam.report.catalog docs/redteam.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from queen.redteam.attacks import ATTACKS
from queen.redteam.defenses import DEFENSES
from queen.redteam.plans.cell import QUEEN, QUEEN_EPOCH
from queen.redteam.plans.plan import PROFILES
from queen.redteam.pools import POOLS
from queen.redteam.report.markdown import table

_ATTACK_COLUMNS = ("attack", "method", "knows the recipe")
_DEFENSE_COLUMNS = ("defense", "answer", "strength")
_BEGIN = (
    "<!-- made from the registries by: python -m queen.redteam.report.catalog docs/redteam.md -->\n"
)
_END = "<!-- end -->"
_OURS = {
    QUEEN: f"this defense; profiles {', '.join(PROFILES)}, observe",
    QUEEN_EPOCH: "this defense, fitted as published: cosine loss, shadow models of one epoch",
}


def attack_rows() -> list[tuple[str, str, str]]:
    """Name and summary of every attack, and whether it knows the recipe."""
    return [
        (attack.name, attack.summary, "yes" if attack.knows_recipe else "")
        for attack in ATTACKS.values()
    ]


def defense_rows() -> list[tuple[str, str, str]]:
    """Name, summary and strength of every defense, Queen first."""
    strengths = [
        (defense.name, defense.summary, "" if defense.strength is None else f"{defense.strength:g}")
        for defense in DEFENSES.values()
    ]
    return [*((name, summary, "") for name, summary in _OURS.items()), *strengths]


def print_catalog(console: Console) -> None:
    """Show attacks, defenses and pools."""
    _print(console, "Attacks", _ATTACK_COLUMNS, attack_rows())
    _print(console, "Defenses", _DEFENSE_COLUMNS, defense_rows())
    console.print(f"Pools: {', '.join(POOLS)}")


def _print(
    console: Console, title: str, columns: tuple[str, ...], rows: list[tuple[str, str, str]]
) -> None:
    shown = Table(title=title, title_justify="left")
    for column in columns:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


def render_catalog(page: str) -> str:
    """The page with its tables made again from the registries."""
    before, _, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    tables = [table(_ATTACK_COLUMNS, attack_rows()), table(_DEFENSE_COLUMNS, defense_rows())]
    joined = "\n\n".join(tables)
    return f"{before}{_BEGIN}\n{joined}\n\n{_END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(render_catalog(path.read_text()))

"""What there is to attack with, and to be attacked: the registries as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from queen.redteam.attacks import ATTACKS
from queen.redteam.cells import QUEEN, QUEEN_EPOCH
from queen.redteam.defenses import DEFENSES
from queen.redteam.plan import PROFILES
from queen.redteam.pools import POOLS

_OURS = {
    QUEEN: f"this defence; profiles {', '.join(PROFILES)}, observe",
    QUEEN_EPOCH: "this defence, with shadow models trained as published",
}


def attack_rows() -> list[tuple[str, str, str]]:
    """Name, summary and whether it rehearses the recipe, of every attack."""
    return [
        (attack.name, attack.summary, "yes" if attack.needs_rehearsal else "")
        for attack in ATTACKS.values()
    ]


def defense_rows() -> list[tuple[str, str, str]]:
    """Name, summary and strength of every defence, this one first."""
    strengths = [
        (defense.name, defense.summary, "" if defense.budget is None else f"{defense.budget:g}")
        for defense in DEFENSES.values()
    ]
    return [*((name, summary, "") for name, summary in _OURS.items()), *strengths]


def print_listing(console: Console) -> None:
    """Show attacks, defences and pools."""
    _print(console, "Attacks", ("attack", "what it does", "knows the recipe"), attack_rows())
    _print(console, "Defences", ("defence", "what it answers", "strength"), defense_rows())
    console.print(f"Pools: {', '.join(POOLS)}")


def _print(
    console: Console, title: str, columns: tuple[str, ...], rows: list[tuple[str, str, str]]
) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console.print(table)

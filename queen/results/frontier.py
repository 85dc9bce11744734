"""The section on crossing policies: what each leaves a thief, and what honest accounts pay."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.frontier.plot import draw_frontier
from queen.redteam.frontier.summary import NOTES, summaries, summary_table
from queen.results.files import learned_rows

_TEXT = """
## Crossing policies: the frontier

`queen bench frontier{options}`: {dataset}, thieves with 20,000 queries, a budget of {budget}
records of a class, {seeds}.

{notes}"""


def frontier_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each is the frontier.json of a data set."""
    lines: list[str] = []
    for file in files:
        rows = learned_rows(file)
        if not rows:
            continue
        seeds = sorted({row["seed"] for row in rows})
        dataset = file.stem.removeprefix("frontier-")
        text = _TEXT.format(
            options="".join(f" --seeds {seed}" for seed in seeds if len(seeds) > 1),
            dataset=dataset,
            budget=rows[0]["budget"],
            seeds="one seed" if len(seeds) == 1 else f"{len(seeds)} seeds",
            notes=NOTES,
        )
        lines += [text, summary_table(summaries(rows)), ""]
        picture = file.with_suffix(".png")
        lines += [f"![The table as a picture]({picture.parent.name}/{picture.name})", ""]
    return lines


def draw_frontiers(folder: Path) -> None:
    """Write the picture of each file beside it."""
    for file in folder.glob("frontier-*.json"):
        if rows := learned_rows(file):
            draw_frontier(summaries(rows), file.with_suffix(".png"))

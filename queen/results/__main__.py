"""Writes docs/results.md and its pictures from docs/results, and the figures of other pages.

python -m queen.results docs [ROWS ...], where ROWS are report.json or rows.jsonl of runs of
`queen redteam`, whose rows go into docs/results first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from queen.results.claims import all_claims, fill_figures
from queen.results.files import adopt
from queen.results.page import draw_pictures, render_results

if __name__ == "__main__":
    docs, *runs = map(Path, sys.argv[1:])
    results = docs / "results"
    for run in runs:
        for name, count in adopt(run, results).items():
            Console().print(f"{run}: {name} has {count} rows now.", highlight=False)
    (docs / "results.md").write_text(render_results(results))
    draw_pictures(results)
    claims = all_claims(results)
    for name in dict.fromkeys(claim.page for claim in claims):
        page = docs.parent / name
        of_page = [claim for claim in claims if claim.page == name]
        page.write_text(fill_figures(page.read_text(), of_page))

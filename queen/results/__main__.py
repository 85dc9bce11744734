"""python -m queen.results docs: write docs/results.md and its pictures from docs/results."""

from __future__ import annotations

import sys
from pathlib import Path

from queen.results.page import render_results
from queen.results.secrecy import draw_secrecy

if __name__ == "__main__":
    docs = Path(sys.argv[1])
    (docs / "results.md").write_text(render_results(docs / "results"))
    for file in (docs / "results").glob("secrecy-*.json"):
        draw_secrecy(file)

"""python -m queen.results docs: write docs/results.md from the files in docs/results."""

from __future__ import annotations

import sys
from pathlib import Path

from queen.results.page import render_results

if __name__ == "__main__":
    docs = Path(sys.argv[1])
    (docs / "results.md").write_text(render_results(docs / "results"))

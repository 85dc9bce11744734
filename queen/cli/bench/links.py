"""`queen bench links`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from queen.cli import options
from queen.cli.bench.figures import empty_table, json_path, publish
from queen.cli.bench.options import bundle, samples


@click.command()
@bundle
@samples("build/demo/pool.npz", "npz whose `x` the protectee never saw.")
@options.accounts(12, fewest=2)
@options.queries(500, fewest=10)
@options.seed
@json_path
def links(json_path: Path | None, **asked: Any) -> None:
    """Measure how well overlapping coverage links the accounts of one thief."""
    from queen.bench.links import run_links_bench  # noqa: PLC0415 - loads ONNX Runtime

    rows = run_links_bench(asked.pop("bundle"), asked.pop("data"), **asked)
    title = "Pairs of a thief's accounts against honest pairs"
    table = empty_table(title, "the accounts ask", "AUC", "linked", "false links")
    for row in rows:
        table.add_row(
            row["split"],
            f"{row['auc']:.3f}",
            f"{row['linked']:.1%}",
            f"{row['false_links']:.1%}",
        )
    publish("links", {"rows": rows}, table, json_path)

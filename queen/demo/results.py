"""Write docs/results.md from the JSON files beside it, so that no figure is typed by hand.

python -m queen.demo.results docs
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from queen.demo.results_state import state_section
from queen.redteam.plans import PLANS
from queen.redteam.report.markdown import NOTES, attack_table, render_standings
from queen.redteam.report.standings import standings

_INTRO = """# Results

Made by `make results` from `docs/results/*.json`; every section names the command that gave its
figures. Accuracies are on the test set, in percent. One run a row.

## The demo

`queen demo --seed SEED` and `queen demo --dataset fashion-mnist`. The thief queries half of the
training split that the protectee never saw (digits: 600 images with noise), with profile `paper`.
*heavy* is an honest account that sends the whole test set, far past its budget: what it loses is
the price of the profile. *floor* is the copy made of the answers before the first reversal.
"""
_COLUMNS = {
    "protectee": "protectee_accuracy",
    "honest": "honest_accuracy",
    "heavy": "heavy_accuracy",
    "thief, no defense": "thief_accuracy_undefended",
    "labels only": "thief_accuracy_label_only",
    "thief, defended": "thief_accuracy_defended",
    "floor": "clean_prefix_floor",
    "reversed": "reversed_fraction",
}
_SERVE = """
## The defended door against a bare server

`queen demo && queen bench serve --json docs/results/bench-serve.json`, the
digits model, load generator and servers on one machine. Ratios to a bare grpc.aio + ONNX Runtime
server of the same model, as median (smallest - largest) over interleaved rounds. `within`: an
account whose queries are all covered. `over`: one whose budget is spent.

With 32 in flight an account within its budget is meant to reach 0.5 at batch 1 and 0.75 at batch
32; the second is missed. The model is tiny, so what is left is the cost of one more RPC: the load
generator, the front door and the sensitivity service share two cores, and the two servers together
use about twice the CPU of the bare one. With few in flight a micro-batch holds one request, and
nothing shares the `Assess` call. Over the budget, `Reverse` is a third hop and runs the shadows.
"""
_METHOD = """
## What each step of the method costs

`queen bench method --json docs/results/bench-method.json`, microseconds a query at batch 256, one
thread; *faster* is against the slow way that the closed form replaces, in the same run.
"""
_REDTEAM = f"""
## The red team

What a thief got, beside what an honest account paid: see [redteam.md](redteam.md).

{NOTES}"""
_REDTEAM_COMMANDS = {
    "digits": "queen redteam --smoke",
    "fashion-mnist": "queen redteam --full",
}
_HONEST = """
## Honest accounts

`queen demo --dataset fashion-mnist && queen bench honest --train build/demo/fashion-mnist.npz`:
accounts under `strict` that each send the test set in an order of their own. *volume* is the
published number of queries before any label may change, which `queen fit` prints; *reversed before*
counts accounts with a reversed query before it, *flagged* those that the off-distribution meter
flagged within so many queries.
"""
_LINKS = """
## Accounts of one thief

`queen demo --dataset fashion-mnist && queen bench links --seed SEED`: how well overlapping coverage
tells pairs of a thief's accounts from pairs of honest ones. An AUC of 0.5 is chance: accounts that
split a pool into disjoint parts leave nothing to see, so an operator has to name the groups.
"""


_PLANS = {"fashion-mnist": "full"}
_SHOWN_ATTACKS = 3
"""A defense that met more attacks than this has them listed."""


def render_results(folder: Path) -> str:
    """The page, from the files in `folder`."""
    demos = [_read(path) for path in sorted(folder.glob("demo-*.json"))]
    serve, method = _read(folder / "bench-serve.json"), _read(folder / "bench-method.json")
    return "\n".join(
        [
            _INTRO,
            *_demo_table(demos),
            *_redteam(sorted(folder.glob("redteam-*.json"))),
            *_honest(sorted(folder.glob("honest-*.json"))),
            *_links(sorted(folder.glob("links-*.json"))),
            _SERVE,
            _machine(serve),
            "",
            *_serve_table(serve["rows"]),
            _METHOD,
            _machine(method),
            "",
            *_method_table(method["rows"]),
            "",
            *_state(folder / "bench-state.json"),
        ]
    )


def _demo_table(demos: list[dict[str, Any]]) -> list[str]:
    rows = [
        [
            demo["dataset"],
            str(demo["seed"]),
            str(demo["budget"]),
            str(demo["thief_queries"]),
            *(f"{100 * demo[key]:.1f}" for key in _COLUMNS.values()),
            f"{demo['honest_flips_before_budget']} of {demo['honest_queries']}",
        ]
        for demo in demos
    ]
    return _table(["data", "seed", "budget", "queries", *_COLUMNS, "honest labels changed"], rows)


def _redteam(files: list[Path]) -> list[str]:
    """The section, if there are rows; each file is the report.json of its command."""
    lines = [_REDTEAM] if files else []
    for file in files:
        dataset = file.stem.removeprefix("redteam-")
        command = _REDTEAM_COMMANDS.get(dataset, f"queen redteam --full --dataset {dataset}")
        lines += [f"### {dataset}: `{command}`\n"]
        rows = json.loads(file.read_text())
        found = standings(rows)
        lines += render_standings(found, "####")
        main = [standing for standing in found if len(standing.attacks) > _SHOWN_ATTACKS]
        if main:
            lines += ["#### Every attack\n", attack_table(main), ""]
        if dataset in _PLANS:
            lines += _what_was_measured(_PLANS[dataset], {row["cell"] for row in rows})
    return lines


def _what_was_measured(plan: str, measured: set[str]) -> list[str]:
    """How much of its plan the files hold, part by part, and what no plan holds."""
    made = PLANS[plan]()
    cells = [[cell.name for cell in made.cells_of(part)] for part in made.parts]
    rows = [
        [part.title, str(len(measured.intersection(names))), str(len(names))]
        for part, names in zip(made.parts, cells, strict=True)
    ]
    titles = ["part of the plan, in order of worth", "measured", "cells"]
    return ["#### What was measured\n", *_table(titles, rows), "", made.left_out, ""]


def _honest(files: list[Path]) -> list[str]:
    """The section, if there are files; each holds one seed's row."""
    rows = [row for file in files for row in _read(file)["rows"]]
    if not rows:
        return []
    histories = [history for history in rows[0]["flagged"] if history != str(rows[0]["volume"])]
    flagged = [f"flagged within {int(history):,}" for history in histories]
    cells = [
        [
            *(f"{row[name]:,}" for name in ("seed", "budget", "accounts", "volume")),
            str(row["reversed_before_volume"]),
            str(row["flagged"][str(row["volume"])]),
            *(str(row["flagged"][history]) for history in histories),
        ]
        for row in rows
    ]
    titles = ["seed", "budget", "accounts", "volume", "reversed before", "flagged before"]
    return [_HONEST, *_table([*titles, *flagged], cells), ""]


def _links(files: list[Path]) -> list[str]:
    """The section, if there are files; each holds one seed's rows."""
    cells = [
        [
            str(row["seed"]),
            row["split"],
            f"{row['accounts']} x {row['queries_each']}",
            f"{row['auc']:.3f}",
            f"{100 * row['linked']:.1f}",
            f"{100 * row['false_links']:.1f}",
        ]
        for file in files
        for row in _read(file)["rows"]
    ]
    titles = ["seed", "his accounts ask", "accounts", "AUC", "linked, %", "false links, %"]
    return [_LINKS, *_table(titles, cells), ""] if cells else []


def _serve_table(rows: list[dict[str, Any]]) -> list[str]:
    measures = ("requests_per_second", "p50_ms", "p99_ms", "cpu_ms_per_request")
    cells = [
        [
            row["contestant"],
            str(row["batch"]),
            str(row["in_flight"]),
            *(_spread(row[f"{measure}_ratio"]) for measure in measures),
        ]
        for row in rows
        if row["contestant"] != "bare"
    ]
    titles = ["account", "batch", "in flight", "requests/s", "p50", "p99", "server CPU a request"]
    return _table(titles, cells)


def _method_table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            row["name"],
            f"{row['microseconds']:.2f} ({row['fastest']:.2f} - {row['slowest']:.2f})",
            "" if row["goal"] is None else f"< {row['goal']:g}",
            f"{row['speedup']:,.0f}x ({row['reference']})" if row["speedup"] else "",
        ]
        for row in rows
    ]
    return _table(["kernel", "us a query", "goal", "faster"], cells)


def _state(file: Path) -> list[str]:
    """The section, if the bench was run."""
    if not file.exists():
        return []
    found = _read(file)
    return state_section(found, _machine(found))


def _table(titles: list[str], rows: list[list[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _spread(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"


def _machine(bench: dict[str, Any]) -> str:
    machine = bench["machine"]
    return f"Machine: {machine['processor']}, {machine['cores']} cores, Python {machine['python']}."


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


if __name__ == "__main__":
    docs = Path(sys.argv[1])
    (docs / "results.md").write_text(render_results(docs / "results"))

"""The sections on the cost of the defense: the served door, and the steps of the method."""

from __future__ import annotations

from queen.redteam.report.markdown import table
from queen.results.files import Content, machine_of

_SERVE = """
## The defended door against a bare server

`queen demo && queen bench serve --json docs/results/bench-serve.json`, the digits model, load
generator and servers on one machine. Ratios to a bare grpc.aio + ONNX Runtime server of the same
model, as median (smallest - largest) over interleaved rounds. `within`: an account whose queries
are all covered. `over`: an account over its budget.

With 32 in flight an account within its budget is meant to reach 0.5 at batch 1 and 0.75 at batch
32; the second is missed. The model is tiny, so the rest is the cost of one more RPC: the load
generator, the front door and the sensitivity service share two cores, and the two servers together
use about twice the CPU of the bare one. With few in flight a micro-batch holds one request, and
nothing shares the `Assess` call. Over the budget, `Reverse` is a third hop and runs the shadows.
"""
_METHOD = """
## The cost of each step of the method

`queen bench method --json docs/results/bench-method.json`, microseconds a query at batch 256, one
thread; *faster* is against the slow way that the closed form replaces, in the same run.
"""
_MEASURES = ("requests_per_second", "p50_ms", "p99_ms", "cpu_ms_per_request")


def serve_section(bench: Content) -> list[str]:
    """The section, from the file of `queen bench serve`."""
    cells = [
        [
            row["contestant"],
            str(row["batch"]),
            str(row["in_flight"]),
            *(_ratio(row[f"{measure}_ratio"]) for measure in _MEASURES),
        ]
        for row in bench["rows"]
        if row["contestant"] != "bare"
    ]
    titles = ["account", "batch", "in flight", "requests/s", "p50", "p99", "server CPU a request"]
    return [_SERVE, machine_of(bench), "", table(titles, cells)]


def method_section(bench: Content) -> list[str]:
    """The section, from the file of `queen bench method`."""
    cells = [
        [
            row["name"],
            f"{row['microseconds']:.2f} ({row['fastest']:.2f} - {row['slowest']:.2f})",
            "" if row["goal"] is None else f"< {row['goal']:g}",
            f"{row['speedup']:,.0f}x ({row['reference']})" if row["speedup"] else "",
        ]
        for row in bench["rows"]
    ]
    titles = ["kernel", "us a query", "goal", "faster"]
    return [_METHOD, machine_of(bench), "", table(titles, cells), ""]


def _ratio(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"

"""The sections on the cost: the served door, the steps of the method, the state of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

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
_TIMES = """
## What the time of an answer tells

`queen demo && queen bench leak --json docs/results/bench-leak.json`, the digits model, the thief
and all services on one machine, asked over loopback. The share of pairs of queries that a thief
puts in order by the times of their answers: 0.50 is a guess, 1.00 tells. *held* is the setting
`held_answers`; none is the control. *load* is the throughput of an account within its budget with
32 requests in flight, and *alone* with 1, both over that of the control in turns: median, smallest
and largest. Nothing is held under `safe` and `refuse`, so their ratios show the noise.

- *once*, *fastest of 8* and *10th percentile of 40*: flagged and unflagged queries, asked so often.
  Under `paper` and `safe` both are of one account over its budget. Under `balanced` and `strict`
  they are the same queries of an account that is over and of one that is not, so that the standing
  is told. Under `refuse`, whose error tells it, they are queries that are recorded, and queries
  that are asked again.
- *in bursts*: the former, once, eight of them sent together.
- *inside, outside*: new queries of an account within its budget, inside of the regions, which are
  recorded, and outside of them. *covered, outside*: nothing is recorded of either.

`safe` and `refuse` are not held by default, and show RECORD: its answer waits for the disk.
"""
_METHOD = """
## The cost of each step of the method

`queen bench method --json docs/results/bench-method.json`, microseconds a query at batch 256, one
thread; *faster* is against the slow way that the closed form replaces, in the same run.
"""
_STATE = """
## The state of many accounts

`queen bench state --json docs/results/bench-state.json`: the engine of the sensitivity service, on
one thread. Times of the engine are CPU times, those of stores wall-clock times. Other work on the
machine slows both, and changes the ratios least.

- *queries a second and core*: batches of 64 rows of 64 accounts, out of 1,000 in memory with 100
  records in each of 5 classes; none is recorded.
- *append to Redis*: one record of one account, over a Lua call that returns at once, in turns and
  through redis-py.
- *p50 with many accounts*: of accounts in memory while the others lie in SQLite, over that with 10
  accounts in all; the worse of batches of 1 and 64 rows.
- *p50 at most records*: of a recorded query of a class that is nearly spent, over one of a class
  without a record; the worse of batches of 1 and 64 accounts.
"""
_LATENCY = """
Latency of a batch, in microseconds. *few* is 10 accounts, or 0 or 1 records; *many* is {known:,}
accounts; *most* is {most:,} records of a class.
"""
_SEARCH = """
The engines of the search: the time of `flat` over that of `cells`, median over 1 to 4,000 records a
ledger. Half of the rows are covered; above 1 `cells` is faster.
"""
_TIMINGS = ("few_microseconds", "many_microseconds", "most_microseconds", "ratio")
_TOLD = (
    ("auc_one", "once"),
    ("auc_fastest_of_8", "fastest of 8"),
    ("auc_p10_of_40", "10th percentile of 40"),
    ("auc_in_burst", "in bursts"),
    ("auc_inside_outside", "inside, outside"),
    ("auc_covered_outside", "covered, outside"),
)
_COSTS = ("cost_ratio", "cost_ratio_alone")
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
    return [_SERVE, machine_of(bench), "", table(titles, cells), ""]


def times_section(bench: Content) -> list[str]:
    """The section, from the file of `queen bench leak`."""
    cells = [
        [
            row["profile"],
            row["held"],
            *("" if row.get(name) is None else f"{row[name]:.2f}" for name, _ in _TOLD),
            *(_ratio([row[name], *row[f"{name}_range"]]) if name in row else "" for name in _COSTS),
        ]
        for row in bench["rows"]
    ]
    titles = ["profile", "held", *(title for _, title in _TOLD), "load", "alone"]
    return [_TIMES, machine_of(bench), "", table(titles, cells), ""]


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


def state_section(bench: Content) -> list[str]:
    """The section, from the file of `queen bench state`."""
    goals = [[goal["title"], f"{bench[goal['key']]:,}", goal["goal"]] for goal in bench["goals"]]
    rates = [
        [name, f"{rate:,}", f"{low:,} - {high:,}"]
        for (name, rate), (low, high) in zip(
            bench["assess_rates"].items(), bench["assess_spreads"].values(), strict=True
        )
    ]
    appends = [
        [f"synchronous {name}", *(f"{rate:,}" for rate in row.values())]
        for name, row in bench["sqlite_appends_per_second"].items()
    ]
    known, most = bench["accounts_known"], bench["most_records"]
    return [
        _STATE,
        machine_of(bench),
        "",
        table(["measure", "measured", "goal"], goals),
        "",
        table(["a batch", "queries a second and core", "lowest and highest turn"], rates),
        _LATENCY.format(known=known, most=most),
        _latencies(bench["accounts_latency"] | bench["records_latency"]),
        "",
        table(["records a second into SQLite", "1 at a time", "64 at a time"], appends),
        _SEARCH,
        _searches(bench["search"]),
        "",
    ]


def _latencies(rows: dict[str, dict[str, float]]) -> str:
    cells = [
        [title, *(f"{row[name]:,}" if name in row else "" for name in _TIMINGS)]
        for title, row in rows.items()
    ]
    return table(["p50 of a batch", "few", "many", "most", "ratio"], cells)


def _searches(rows: Sequence[Content]) -> str:
    """A line for each width of an embedding, a column for each batch."""
    ratios: dict[int, dict[tuple[int, int], list[float]]] = {}
    for row in rows:
        if "cells" in row:
            batches = ratios.setdefault(row["width"], {})
            batches.setdefault((row["rows"], row["ledgers"]), []).append(row["flat"] / row["cells"])
    columns = list(dict.fromkeys(batch for width in ratios.values() for batch in width))
    titles = [f"{rows:,} rows, {_ledgers(ledgers)}" for rows, ledgers in columns]
    cells = [
        [str(width), *(f"{median(of_width[batch]):.1f}" for batch in columns)]
        for width, of_width in ratios.items()
    ]
    return table(["width", *titles], cells)


def _ledgers(count: int) -> str:
    return "1 ledger" if count == 1 else f"{count} ledgers"


def _ratio(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"

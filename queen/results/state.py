"""The section of docs/results.md on the state of many accounts."""

from __future__ import annotations

from collections.abc import Sequence

from queen.redteam.report.markdown import table
from queen.results.files import Content, machine_of

_INTRO = """
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
The engines of the search, microseconds a batch. *rows* are spread over *ledgers*, each of which
has *records*; half of the rows are covered. The fastest is bold.
"""
_TIMES = ("few_microseconds", "many_microseconds", "most_microseconds", "ratio")
_SIZES = ("width", "records", "rows", "ledgers")
_ENGINES = ("cells", "flat")


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
        _INTRO,
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
        [title, *(f"{row[name]:,}" if name in row else "" for name in _TIMES)]
        for title, row in rows.items()
    ]
    return table(["p50 of a batch", "few", "many", "most", "ratio"], cells)


def _searches(rows: Sequence[Content]) -> str:
    cells = []
    for row in rows:
        fastest = min(row[name] for name in _ENGINES if name in row)
        times = [_marked(row.get(name), fastest) for name in _ENGINES]
        cells.append([*(f"{row[name]:,}" for name in _SIZES), *times])
    return table([*_SIZES, *_ENGINES], cells)


def _marked(value: float | None, best: float) -> str:
    text = "" if value is None else f"{value:,.0f}"
    return f"**{text}**" if value == best else text

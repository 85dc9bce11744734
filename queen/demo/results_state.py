"""The section of docs/results.md on the state of many accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from queen.redteam.report.markdown import table

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
_PLACES = ("width", "records", "rows", "ledgers")
_ENGINES = ("cells", "flat")


def state_section(found: dict[str, Any], machine: str) -> list[str]:
    """Lines of the section, from what the bench wrote."""
    goals = [[goal["title"], f"{found[goal['key']]:,}", goal["goal"]] for goal in found["goals"]]
    rates = [[name, f"{rate:,}"] for name, rate in found["assess_rates"].items()]
    spreads = found.get("assess_spreads", {})
    # A file of before the measure took turns has none.
    for row, (low, high) in zip(rates, spreads.values(), strict=False):
        row.append(f"{low:,} - {high:,}")
    columns = ["a batch", "queries a second and core", "lowest and highest turn"]
    appends = [
        [f"synchronous {name}", *(f"{rate:,}" for rate in row.values())]
        for name, row in found["sqlite_appends_per_second"].items()
    ]
    known, most = found["accounts_known"], found["most_records"]
    return [
        _INTRO,
        machine,
        "",
        table(["what", "measured", "goal"], goals),
        "",
        table(columns[: len(rates[0])], rates),
        _LATENCY.format(known=known, most=most),
        _latencies(found["accounts_latency"] | found["records_latency"]),
        "",
        table(["records a second into SQLite", "1 at a time", "64 at a time"], appends),
        _SEARCH,
        _searches(found["search"]),
        "",
    ]


def _latencies(rows: dict[str, dict[str, float]]) -> str:
    cells = [
        [title, *(f"{row[name]:,}" if name in row else "" for name in _TIMES)]
        for title, row in rows.items()
    ]
    return table(["p50 of a batch", "few", "many", "most", "ratio"], cells)


def _searches(rows: Sequence[dict[str, Any]]) -> str:
    cells = []
    for row in rows:
        fastest = min(row[name] for name in _ENGINES if name in row)
        times = [_marked(row.get(name), fastest) for name in _ENGINES]
        cells.append([*(f"{row[name]:,}" for name in _PLACES), *times])
    return table([*_PLACES, *_ENGINES], cells)


def _marked(value: float | None, best: float) -> str:
    text = "" if value is None else f"{value:,.0f}"
    return f"**{text}**" if value == best else text

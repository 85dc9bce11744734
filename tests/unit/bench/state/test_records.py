"""The measure of the records of a class."""

from __future__ import annotations

from queen.bench.state.records import measure_records


def test_covered_and_recorded_queries_are_measured() -> None:
    """Queries with another verdict would end the measure; the worse ratio of batches is told."""
    figures = measure_records(15)
    latency = figures["records_latency"]
    assert latency.keys() == {
        *("covered, batch 1", "covered, batch 64", "recorded, batch 1", "recorded, batch 64")
    }
    recorded = [latency[f"recorded, batch {rows}"]["ratio"] for rows in (1, 64)]
    assert figures["p50_ratio_records"] in recorded
    assert figures["most_records"] > 100

"""The comparison of the engines of the neighbor search."""

from __future__ import annotations

from queen.bench.state.search import count_cells, measure_search


def test_every_width_and_number_of_records_is_a_step() -> None:
    """Each engine has a time in each row; the grid of cells where embeddings are narrow."""
    steps: list[None] = []
    rows = measure_search(10, lambda: steps.append(None))
    assert len(steps) == count_cells()
    assert {row["width"] for row in rows} == {2, 3, 4, 8}
    assert all(row["flat"] > 0 for row in rows)
    assert all(("cells" in row) is (row["width"] < 8) for row in rows)

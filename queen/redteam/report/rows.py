"""The rows of finished cells, a JSON object a line; a run does not measure them again.

A row says which learner made its copy and which code gave its answers. Rows of another learner
are not comparable and do not count; rows of other code do, and a report tells of them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from queen.errors import ConfigError

Row = dict[str, Any]


class RowFile:
    """Rows by the name of their cell, appended row by row and safe against a sudden end.

    Rows of another `learner` stay in the file and are not among `rows`.
    """

    def __init__(self, path: Path, learner: int) -> None:
        self._path = path
        self._learner = learner
        self.rows: dict[str, Row] = {}
        if path.is_file():
            self._read()

    def append(self, row: Row) -> None:
        """Write a row of this learner; it is on the disk when this returns."""
        row = {**row, "learner": self._learner}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows[row["cell"]] = row

    def adopt(self, rows: Iterable[Row]) -> int:
        """Append the rows of earlier runs that fit and are not here yet; returns their number."""
        fitting = [row for row in rows if self._fits(row) and row["cell"] not in self.rows]
        for row in fitting:
            self.append(row)
        return len(fitting)

    def _fits(self, row: Row) -> bool:
        return row.get("learner") == self._learner

    def _read(self) -> None:
        whole, newline, torn = self._path.read_text().rpartition("\n")
        for line in whole.splitlines():
            row: Row = json.loads(line)
            if self._fits(row):
                self.rows[row["cell"]] = row
        if torn:
            # The process was killed while it wrote; the next row must start a line.
            self._path.write_text(whole + newline)


def read_rows(path: Path) -> list[Row]:
    """The rows of a report.json, or of a file of rows; ConfigError for any other file."""
    try:
        text = path.read_text()
        rows = json.loads(text) if text.startswith("[") else [*map(json.loads, text.splitlines())]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected the report.json of a run, got {error}") from error
    if not all(isinstance(row, dict) and "cell" in row for row in rows):
        raise ConfigError(f"{path}: expected rows that name their cell, got other JSON")
    return list(rows)


def versions_text(rows: Sequence[Row]) -> str:
    """A sentence where rows were measured by several versions of the code; empty for one."""
    versions = {row.get("code") for row in rows}
    if len(versions) < 2:
        return ""
    return f"The rows were measured by {len(versions)} versions of the code that answers."


def finite(value: float | None) -> float | None:
    """A figure for a row: null where it does not exist, never NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def finite_figures(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Figures for a row, by name."""
    return {name: finite(value) for name, value in values.items()}

"""The rows of finished cells, a JSON object a line; a run does not measure them again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class RowFile:
    """Rows by the name of their cell, appended row by row and safe against a sudden end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, Row] = {}
        if path.is_file():
            self._read()

    def append(self, row: Row) -> None:
        """Write a row; it is on the disk when this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows[row["cell"]] = row

    def _read(self) -> None:
        whole, newline, torn = self._path.read_text().rpartition("\n")
        for line in whole.splitlines():
            row: Row = json.loads(line)
            self.rows[row["cell"]] = row
        if torn:
            # The process was killed while it wrote; the next row must start a line.
            self._path.write_text(whole + newline)


def finite(value: float | None) -> float | None:
    """A figure for a row: null where it does not exist, never NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def finite_figures(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Figures for a row, by name."""
    return {name: finite(value) for name, value in values.items()}

"""The files in docs/results, and the words that several sections share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Content = dict[str, Any]


def read_content(path: Path) -> Content:
    """The object in a JSON file."""
    content: Content = json.loads(path.read_text())
    return content


def read_rows(files: list[Path]) -> list[Content]:
    """The rows in JSON files of the benches, all files together."""
    return [row for file in files for row in read_content(file)["rows"]]


def machine_of(bench: Content) -> str:
    """The machine of a bench in a sentence."""
    machine = bench["machine"]
    return f"Machine: {machine['processor']}, {machine['cores']} cores, Python {machine['python']}."

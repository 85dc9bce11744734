"""Answers as a table for people, and as a document for programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from queen.cli.query.samples import Samples
from queen.oip_client import Array, ModelDescription
from queen.printable import printable

_BAR_CELLS = 12


def as_document(model: ModelDescription, samples: Samples, answers: Array) -> dict[str, Any]:
    """The answers (B, C) for programs: an entry for each row."""
    return {
        "model": model.name,
        "rows": [
            {
                "row": int(row),
                "label": int(answer.argmax()),
                **_named(model, int(answer.argmax())),
                "probabilities": answer.tolist(),
            }
            for row, answer in zip(samples.rows, answers, strict=True)
        ],
    }


def as_table(model: ModelDescription, samples: Samples, answers: Array, top: int) -> Table:
    """The answers (B, C) for people: label, name, the `top` likeliest classes, the true class."""
    truth = samples.labels
    title = Text(printable(f"{model.name}: {len(answers)} answers"))
    table = Table(title=title, title_justify="left")
    table.add_column("row", justify="right", style="dim")
    table.add_column("answer", style="bold")
    if truth is not None:
        table.add_column("true")
    table.add_column("probability")
    table.add_column("likeliest classes", style="dim")
    for index, answer in enumerate(answers):
        label = int(answer.argmax())
        cells: list[str | Text] = [str(samples.rows[index]), Text(_title(model, label))]
        if truth is not None:
            cells.append(_truth_cell(model, int(truth[index]), label))
        cells += [_bar(float(answer[label])), _likeliest(model, answer, top)]
        table.add_row(*cells)
    if truth is not None:
        right = int((answers.argmax(axis=1) == truth).sum())
        table.caption = f"{right} of {len(answers)} answers are the true class"
    return table


def _named(model: ModelDescription, label: int) -> dict[str, str]:
    known = label < len(model.class_names)
    return {"class_name": model.class_names[label]} if known else {}


def _title(model: ModelDescription, label: int) -> str:
    """A class in words; its name is the server's."""
    name = printable(_named(model, label).get("class_name", ""))
    return f"{label} {name}" if name and name != str(label) else str(label)


def _truth_cell(model: ModelDescription, truth: int, label: int) -> Text:
    return Text(_title(model, truth), "green" if truth == label else "red")


def _bar(share: float) -> str:
    full = round(_BAR_CELLS * share)
    return f"{share:6.1%} [cyan]{'█' * full}[/][dim]{'░' * (_BAR_CELLS - full)}[/]"


def _likeliest(model: ModelDescription, answer: Array, top: int) -> Text:
    labels = np.argsort(-answer, kind="stable")[:top]
    parts = [f"{_short_title(model, int(label))}\u00a0{answer[label]:.3f}" for label in labels]
    return Text("  ".join(parts))


def _short_title(model: ModelDescription, label: int) -> str:
    name = printable(_named(model, label).get("class_name", str(label)))
    return name.replace(" ", "\u00a0")

"""The section on the leak: what answers tell, whatever a thief does with them."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.leaks import LEAK_COLUMNS, UNFLAGGED, leak_rows
from queen.redteam.report.markdown import table
from queen.results.files import read_content

_TEXT = """## What answers tell

`{command}`

The share of the protectee's labels, in percent, that a decoder reads. It is the best of a
comparison, boosted trees and a network, trained on up to 5,000 answers whose labels an oracle
tells, and tested on others, so it stands for every rule that a thief may think of. Secrets:
{secrets}; queries of one account: {queries:,}; seeds: {seeds}.

- *read from answers*: from the defense's answers to these queries.
- *from decoys*: by the same kind of decoder from decoys of the same inputs, which see a sketch of
  the input and nothing of the protectee. A thief has the input anyway: this much is no leak.
- *with a belief*: both again, for a thief who has trained a copy on the first {prefix:,} answers
  and shows the decoder what the copy believes.
- *leak* is the larger of the two differences, and with 95 % confidence it is *at most* so many
  points: over secrets that an operator might draw, over rows and over the luck of training.
  [bound.py](../queen/redteam/leak/bound.py) has the equation.

Unflagged answers keep their label, and tell it: they are left out here. A leak above noise on
flagged rows means that the right rule undoes the answers. A leak of 0 is about single answers; it
is final for decoys, which follow from the input and a secret alone.
"""


def leak_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each holds the rows of a data set."""
    lines: list[str] = []
    for file in files:
        content = read_content(file)
        rows = content["rows"]
        read = [row for row in rows if row["rows"] != UNFLAGGED]
        text = _TEXT.format(
            command=content["command"],
            secrets=rows[0]["secrets"],
            queries=rows[0]["queries"],
            prefix=rows[0]["prefix"],
            seeds=", ".join(str(seed) for seed in sorted({row["seed"] for row in rows})),
        )
        lines += [text, table(LEAK_COLUMNS, leak_rows(read)), ""]
    return lines

"""Measures the leak of defenses: what their answers tell beside what the input alone tells.

Shapes: N queries, C classes, S secrets, M test rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from queen.method.answers.decoy import make_decoy, sketch_inputs
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images
from queen.redteam.leak.bound import bound_leak
from queen.redteam.leak.decoders import Labels, Reading, divide_rows
from queen.redteam.leak.reader import Reader
from queen.redteam.plans.cell import Cell
from queen.redteam.report.leaks import ALL, ANSWER, FLAGGED, UNFLAGGED, WITH_BELIEF
from queen.redteam.report.rows import Row
from queen.redteam.runs.defense_under_test import DefenseUnderTest
from queen.redteam.runs.experiment import Experiment
from queen.redteam.targets.base import Answers
from queen.redteam.targets.in_process import seeded_secret

SECRETS = 8
VIEWS = {ANSWER: False, WITH_BELIEF: True}
"""Names of the views, and whether a decoder sees the belief beside the answer."""
LEAST_ROWS = 200
"""Fewer rows train no decoder, and their figures are null."""


@dataclass(frozen=True, eq=False)
class _Stream:
    """A stream of queries (N, ...), and what is the same for every defense of it.

    `labels` (N,) are the protectee's, `belief` (N, C) is that of a copy of the prefix, `decoys`
    (S, N, C) are the answers of decoys, and `is_later` (N,) marks the rows after the prefix.
    """

    queries: Images
    labels: Labels
    belief: Answers
    decoys: Answers
    is_later: NDArray[np.bool_]


class LeakMeter:
    """Measures the defenses of an experiment under `secrets` S of an operator, at least 2.

    A decoder gets the answers that the services' own code gives under a secret, and learns the
    protectee's labels from them. The same kind of decoder gets the answers of a decoy, which sees
    a sketch of the input and a secret, and nothing of the protectee. Whatever more it reads from
    the defense's answers is their leak: see `queen.redteam.leak.bound.bound_leak`.
    """

    def __init__(self, experiment: Experiment, secrets: int = SECRETS) -> None:
        self._experiment = experiment
        self._secrets = [
            seeded_secret(f"leak {experiment.seed} {index}") for index in range(secrets)
        ]
        self._streams: dict[tuple[str, int], _Stream] = {}

    def measure(self, cell: Cell) -> list[Row]:
        """A row for the flagged and one for the unflagged queries of a cell, or one for all.

        A defense without verdicts has one row. One account asks the stream once, so the attack of
        the cell plays no part. The first queries train the copy whose belief is a clue, and no
        decoder reads them. The figures of rows with too few answers are null.
        """
        stream = self._stream(cell.pool, cell.queries)
        answers, is_reversed = self._ask(cell, stream.queries)
        is_answered = np.isfinite(answers).all(axis=(0, 2)) & stream.is_later
        rows = []
        for name, is_chosen in _strata(is_reversed, len(stream.queries)).items():
            chosen = np.flatnonzero(is_chosen & is_answered)
            rows.append(
                {
                    "dataset": cell.dataset,
                    "defense": cell.defense,
                    "profile": cell.profile,
                    "budget": cell.budget,
                    "breadth": cell.breadth,
                    "class_cap": cell.class_cap,
                    "pool": cell.pool,
                    "queries": cell.queries,
                    "seed": cell.seed,
                    "secrets": len(self._secrets),
                    "prefix": int((~stream.is_later).sum()),
                    "rows": name,
                    **self._figures(stream, answers, chosen),
                }
            )
        return rows

    def _ask(self, cell: Cell, queries: Images) -> tuple[Answers, NDArray[np.bool_] | None]:
        """Answers (S, N, C) of fresh deployments, and the flagged rows (N,).

        No verdict depends on the secret. A baseline has none, and is asked once: (1, N, C).
        """
        defense, asked, is_reversed = DefenseUnderTest(self._experiment, cell), [], None
        for secret in self._secrets if cell.is_ours else self._secrets[:1]:
            with defense.deployed(secret=secret) as target:
                asked.append(target.open_account("thief").ask(queries))
                is_reversed = target.traffic.is_reversed
        return np.stack(asked), is_reversed

    def _stream(self, pool: str, queries: int) -> _Stream:
        if (pool, queries) not in self._streams:
            self._streams[pool, queries] = self._open_stream(pool, queries)
        return self._streams[pool, queries]

    def _open_stream(self, pool: str, queries: int) -> _Stream:
        experiment, bundle = self._experiment, self._experiment.bundle()
        images = experiment.pool(pool)[:queries]
        own = experiment.plain_protectee.run(images).probabilities
        prefix = prefix_length(len(images), own.shape[1])
        # In float32, as the front door sends them.
        sketches = sketch_inputs(images).astype(np.float32)
        decoys = [
            make_decoy(secret, bundle.digest, bundle.sketch_space) for secret in self._secrets
        ]
        return _Stream(
            images,
            own.argmax(axis=1),
            posterior(experiment.train_copy(images[:prefix], own[:prefix]), images),
            np.stack([decoy.answers(sketches) for decoy in decoys]),
            np.arange(len(images)) >= prefix,
        )

    def _figures(self, stream: _Stream, answers: Answers, rows: NDArray[np.int64]) -> Row:
        """The figures of these rows: of each view, and the larger leak and bound."""
        if len(rows) < LEAST_ROWS:
            return {"tested": 0, "belief": None, "leak": None, "bound": None, "views": {}}
        parts = divide_rows(rows, np.random.default_rng([self._experiment.seed, 13]))
        reader = Reader(self._experiment.cache, stream.labels, parts, answers.shape[2])
        views = {}
        for name, has_belief in VIEWS.items():
            read = partial(_read_all, reader, rows, stream.belief if has_belief else None)
            defended, decoys = read(answers, 0), read(stream.decoys, 1)
            chosen = Counter(reading.decoder for reading in defended)
            views[name] = {
                **asdict(bound_leak(_is_right(defended, len(decoys)), _is_right(decoys))),
                "decoder": chosen.most_common(1)[0][0],
            }
        believed = stream.belief[parts.test].argmax(axis=1) == stream.labels[parts.test]
        return {
            "tested": len(parts.test),
            "belief": float(believed.mean()),
            "leak": max(view["leak"] for view in views.values()),
            "bound": max(view["bound"] for view in views.values()),
            "views": views,
        }


def _strata(is_reversed: NDArray[np.bool_] | None, queries: int) -> dict[str, NDArray[np.bool_]]:
    """The rows that are read apart, (N,) each, by name."""
    if is_reversed is None:
        return {ALL: np.ones(queries, bool)}
    return {FLAGGED: is_reversed, UNFLAGGED: ~is_reversed}


def _read_all(
    reader: Reader, rows: NDArray[np.int64], belief: Answers | None, answers: Answers, arm: int
) -> list[Reading]:
    """A reading of each of the answers (S, N, C); one, if no secret changes an answer in `rows`.

    No two decoders of the two arms share a seed, so the luck of training is in the bound.
    """
    compared = answers[:, rows]
    different = answers[:1] if (compared == compared[:1]).all() else answers
    return [
        reader.read(shown, belief, seed=2 * index + arm) for index, shown in enumerate(different)
    ]


def _is_right(readings: Sequence[Reading], secrets: int | None = None) -> NDArray[np.bool_]:
    """Rows read right, (S, M); the one reading for all secrets, if there is only one."""
    is_right = np.stack([reading.is_right for reading in readings])
    return np.broadcast_to(is_right, (secrets or len(is_right), is_right.shape[1]))

"""The figures of a row, computed from answers, verdicts and labels.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.redteam.attacks.base import account_name
from queen.redteam.attacks.parts.answered import answered, is_answered
from queen.redteam.datasets import Labels
from queen.redteam.report.rows import finite
from queen.redteam.targets.base import Answers
from queen.redteam.targets.traffic import Traffic

HISTORIES = (0, 500, 2_000, 10_000)
"""Earlier queries of an honest account at which its accuracy is reported."""
_WINDOW = 250
"""Queries on either side of a history over which the accuracy is averaged."""

Curve = list[list[float | None]]


@dataclass(frozen=True)
class KindFigures:
    """Figures of fresh honest accounts of a kind of traffic; see `honest_figures`."""

    accuracy: float
    flip_rate: float
    """Share of the labels that are not the protectee's."""
    refused: float
    """Share of the queries that were refused."""
    curve: Curve


@dataclass(frozen=True)
class Honest:
    """Figures of the kind of honest traffic that a defense harms most, and of every kind.

    The worst kind is that with the most labels changed and queries refused; of equals, the first.
    """

    honest_kind: str
    honest_accuracy: float
    honest_flip_rate: float
    honest_curve: Curve
    honest_refused: float
    honest_by_kind: dict[str, dict[str, Any]]
    """`KindFigures` by kind."""


@dataclass(frozen=True)
class Floors:
    """Accuracies of copies made of clean answers, which no later answer can undo.

    `clean_prefix_floor` is of a copy of the answers to each account before its first
    reversal, `label_only_floor` of a copy of the protectee's own labels of the same queries.
    A defense without verdicts has no clean prefix; its label-only floor is of all queries.
    """

    clean_prefix_floor: float | None
    clean_prefix_queries: int | None
    label_only_floor: float | None


def traffic_figures(traffic: Traffic) -> dict[str, float | None]:
    """Mean L1 distance of the answers to the protectee's, and the share of reversed queries.

    A refused query counts as reversed; it has no answer, and no part in the mean.
    """
    if not traffic.queries:
        return {"mean_l1": None, "reversed_fraction": None}
    own, flags = traffic.own, traffic.is_reversed
    moved = None
    if own is not None:
        known, answers = answered(own, traffic.answers)
        moved = float(np.abs(answers - known).sum(axis=1).mean()) if len(known) else None
    return {"mean_l1": moved, "reversed_fraction": None if flags is None else share(flags)}


def clean_rows(traffic: Traffic, accounts: int) -> NDArray[np.int64]:
    """Rows of the stream (Q', ...) that were answered before their account's first reversal.

    `ask_spread` dealt the stream out: query i went to account i mod `accounts`.
    """
    rows = []
    for index in range(accounts):
        flags = traffic.of(account_name(index)).is_reversed
        if flags is not None:
            clean = int(flags.argmax()) if flags.any() else len(flags)
            rows.append(index + accounts * np.arange(clean))
    return np.sort(np.concatenate(rows)) if rows else np.empty(0, np.int64)


def honest_figures(answers: Answers, truth: Labels, own: Labels) -> KindFigures:
    """Figures of an account that sent N images in this order: answers (N, C), labels (N,).

    The flip rate is the share of its labels that are not the protectee's `own`. A refused query
    has no label: it is neither right nor flipped.
    """
    labels, is_known = answers.argmax(axis=1), is_answered(answers)
    is_right = is_known & (labels == truth)
    return KindFigures(
        share(is_right),
        share(is_known & (labels != own)),
        share(~is_known),
        history_curve(is_right),
    )


def mean_figures(accounts: Sequence[KindFigures]) -> KindFigures:
    """The mean over accounts that sent as many queries each."""
    points = zip(*(account.curve for account in accounts), strict=True)
    return KindFigures(
        mean(account.accuracy for account in accounts),
        mean(account.flip_rate for account in accounts),
        mean(account.refused for account in accounts),
        [[at[0][0], _mean_known([right for _, right in at])] for at in points],
    )


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def of_kinds(figures: Mapping[str, KindFigures]) -> Honest:
    """The figures of all kinds, those of the worst in front."""
    worst = max(figures, key=lambda kind: figures[kind].flip_rate + figures[kind].refused)
    of_worst = figures[worst]
    return Honest(
        worst,
        of_worst.accuracy,
        of_worst.flip_rate,
        of_worst.curve,
        of_worst.refused,
        {kind: asdict(of_kind) for kind, of_kind in figures.items()},
    )


def history_curve(is_right: NDArray[np.bool_]) -> Curve:
    """Pairs of a history and the accuracy around it, from N answers in order (N,).

    At HISTORIES the accuracy is a mean over 250 queries on either side. For an account that sent
    fewer than 10,000 queries it is reported at 0, 1/4, 1/2 and 1 of them, over an eighth on either
    side.
    """
    sent = len(is_right)
    whole = sent >= HISTORIES[-1]
    histories = HISTORIES if whole else (0, sent // 4, sent // 2, sent)
    width = _WINDOW if whole else max(sent // 8, 1)
    windows = [is_right[max(0, history - width) : history + width] for history in histories]
    return [
        [history, finite(share(window) if len(window) else None)]
        for history, window in zip(histories, windows, strict=True)
    ]


def share(claims: NDArray[np.bool_]) -> float:
    """Share of claims (N,) that are true."""
    return float(np.mean(claims))

"""Decoders: classifiers from the numbers of an answer to the protectee's label.

A decoder is trained on answers whose true labels an oracle tells, and tested on others. So it
stands for every thief who knows some labels, whatever rule they would think of.

Shapes: N rows, M test rows, C classes, F clues of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from queen.fit.training.threads import one_thread
from queen.redteam.targets.base import Answers

Clues = NDArray[np.float32]
Labels = NDArray[np.int64]
Predict = Callable[[Clues], Labels]

_LEAST = 1e-30
"""The least number whose logarithm is a clue: smaller ones are as good as 0."""
_MOST_TRAINING = 5_000
"""Pairs of an answer and its label that the oracle tells."""
_VALIDATION_SHARE = 5
"""A pair in 5 chooses the decoder, and trains none."""
_WIDTH, _EPOCHS, _BATCH, _RATE = 128, 40, 64, 2e-3
_TREES, _LEAVES = 60, 15


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows that train decoders, choose among them, and test the chosen decoder."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def divide_rows(rows: NDArray[np.int64], rng: np.random.Generator) -> Parts:
    """Half of the rows (N,) are the test; of the others, up to 5,000 train and choose."""
    shuffled = rng.permutation(rows)
    half = len(rows) // 2
    known = shuffled[half:][:_MOST_TRAINING]
    held = len(known) // _VALIDATION_SHARE
    return Parts(known[held:], known[:held], shuffled[:half])


def clues_of(answers: Answers, belief: Answers | None = None) -> Clues:
    """The clues of answers (N, C), (N, F): the numbers as they are, ranks, logarithms, gaps.

    The first C clues are the answer. `belief` (N, C) is what a copy of the thief's believes about
    the same inputs; with its logarithms it is appended.
    """
    ordered = -np.sort(-answers, axis=1)
    order = np.argsort(-answers, axis=1, kind="stable")
    parts = [
        answers,
        np.log(np.maximum(answers, _LEAST)),
        np.argsort(order, axis=1, kind="stable"),
        ordered,
        np.log(np.maximum(ordered, _LEAST)),
        ordered[:, :-1] - ordered[:, 1:],
    ]
    if belief is not None:
        parts += [belief, np.log(np.maximum(belief, _LEAST))]
    return np.concatenate(parts, axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Known:
    """The training of a decoder: clues (N, F), labels (N,), and rows to choose by."""

    clues: Clues
    labels: Labels
    validation_clues: Clues
    validation_labels: Labels
    num_classes: int
    seed: int

    def score(self, predict: Predict) -> float:
        """The share of labels of the validation rows that are read right."""
        return float((predict(self.validation_clues) == self.validation_labels).mean())


@dataclass(frozen=True, eq=False)
class Reading:
    """The result of the chosen decoder: which of M test rows it read right, (M,)."""

    decoder: str
    is_right: NDArray[np.bool_]


def read_labels(clues: Clues, labels: Labels, parts: Parts, num_classes: int, seed: int) -> Reading:
    """Train every decoder of DECODERS, and test the one that is best on the validation rows.

    `clues` (N, F) and `labels` (N,) are of all rows; `parts` says which are used for what. The
    test rows choose nothing, so the result is a lower bound of what can be read.
    """
    known = Known(
        clues[parts.training],
        labels[parts.training],
        clues[parts.validation],
        labels[parts.validation],
        num_classes,
        seed,
    )
    fitted = {name: fit(known) for name, fit in DECODERS.items()}
    best = max(fitted, key=lambda name: known.score(fitted[name]))
    return Reading(best, fitted[best](clues[parts.test]) == labels[parts.test])


def fit_rank(known: Known) -> Predict:
    """A comparison: the class whose number has a certain rank in the answer.

    Rank 0 is the argmax, the last rank the argmin; the training rows choose.
    """

    def at(rank: int) -> Predict:
        def predict(clues: Clues) -> Labels:
            answers = clues[:, : known.num_classes]
            return np.argsort(-answers, axis=1, kind="stable")[:, rank]

        return predict

    shares = [
        float((at(rank)(known.clues) == known.labels).mean()) for rank in range(known.num_classes)
    ]
    return at(int(np.argmax(shares)))


def fit_boosted(known: Known) -> Predict:
    """Gradient-boosted trees on histograms of the clues."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import

    trees = HistGradientBoostingClassifier(
        max_iter=_TREES, max_leaf_nodes=_LEAVES, early_stopping=False, random_state=known.seed
    )
    trees.fit(known.clues, known.labels)

    def predict(clues: Clues) -> Labels:
        labels: Labels = trees.predict(clues)
        return labels

    return predict


def fit_network(known: Known) -> Predict:
    """A network with a hidden layer, over standardized clues; the validation picks the epoch."""
    mean = known.clues.mean(axis=0)
    scale = np.maximum(known.clues.std(axis=0), 1e-6)

    def standardized(clues: Clues) -> torch.Tensor:
        return torch.from_numpy((clues - mean) / scale)

    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(known.seed)
        network = nn.Sequential(
            nn.Linear(known.clues.shape[1], _WIDTH),
            *(nn.ReLU(), nn.Dropout(0.2)),
            nn.Linear(_WIDTH, known.num_classes),
        )

        def predict(clues: Clues) -> Labels:
            with torch.inference_mode():
                labels: Labels = network.eval()(standardized(clues)).argmax(dim=1).numpy()
            return labels

        _train(network, standardized(known.clues), known, lambda: known.score(predict))
    return predict


def _train(
    network: nn.Module, clues: torch.Tensor, known: Known, score: Callable[[], float]
) -> None:
    labels = torch.from_numpy(known.labels)
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _EPOCHS)
    best, best_score = network.state_dict(), -1.0
    for _ in range(_EPOCHS):
        network.train()
        for rows in torch.split(torch.randperm(len(clues)), _BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(network(clues[rows]), labels[rows]))
            optimizer.step()
        schedule.step()
        if (reached := score()) > best_score:
            best_score = reached
            best = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best)


DECODERS: dict[str, Callable[[Known], Predict]] = {
    "comparison": fit_rank,
    "trees": fit_boosted,
    "network": fit_network,
}
"""Decoders by name; of two that are equally good the first is chosen."""

"""Measures how much secrecy a reversal costs, and how much reversal secrecy costs.

A reversed answer s should have a large cosine to the target t = 2q - p, and should not tell which
class is the true one. The answers here lie between the two: from the published reversal to answers
that follow from nothing that the protectee computed. All are to the same flagged queries.

Shapes: B flagged queries, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from queen_perturber.shadows import choose_device, load_shadows

from queen.errors import ConfigError
from queen.method.answers.decoy import make_decoy, sketch_inputs
from queen.method.answers.ensemble import ShadowDraw
from queen.method.answers.gradient_reverse import (
    TAIL,
    closest_simplex_point,
    paper_answer,
    reverse_target,
)
from queen.method.contracts import Profile
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images
from queen.redteam.leak.decoders import divide_rows
from queen.redteam.leak.reader import Reader
from queen.redteam.plans.plan import IN
from queen.redteam.runs.cache import Cache
from queen.redteam.runs.experiment import Experiment
from queen.redteam.targets.base import Answers
from queen.redteam.targets.in_process import OperatorChoice, open_in_process, seeded_secret

KEPT = (5, 3, 2, 1)
"""Numbers of the largest classes that a reversal keeps, while keyed noise orders the others."""
_PART = 2048


@dataclass(frozen=True)
class SecrecyOptions:
    """The stream of `queries` on a data set, divided by `seed`; `secrets` draws of the noise.

    `budget` is in records of a class, as an operator states it. `cache` is the folder of trained
    networks and bundles, `data_dir` that of the data.
    """

    dataset: str
    seed: int
    queries: int
    budget: int
    secrets: int
    cache: Path
    data_dir: Path | None = None


@dataclass(frozen=True)
class SecrecyPoint:
    """A kind of answer to flagged queries; all figures are shares, means over the secrets.

    `reversal` is the cosine of the answers to the reversed target, as a share of the largest that
    a point of the simplex has. `read` is the share of the protectee's labels that a decoder reads
    from the answers, `read_with_belief` the same with the belief of a copy of the first answers,
    and `leak` what the latter is beyond the same reading of decoys. `learned` is what many answers
    tell together: the accuracy of a copy that is trained on them, on the test set, where its label
    is the most probable class, or the least, or that of whichever rank is right most often.
    """

    answer: str
    title: str
    reversal: float
    read: float
    read_with_belief: float
    leak: float
    learned: float


@dataclass(frozen=True, eq=False)
class Flagged:
    """B flagged queries as the perturber sees them under a secret.

    The protectee's `probabilities` p (B, C), the mean softmax of the drawn shadows, `shadow_mean` q
    (B, C), and the answers of the `decoy` (B, C).
    """

    probabilities: NDArray[np.float64]
    shadow_mean: NDArray[np.float64]
    decoy: Answers

    @property
    def labels(self) -> NDArray[np.int64]:
        """The protectee's labels (B,)."""
        labels: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return labels

    @property
    def published(self) -> Answers:
        """The answers of `paper`, (B, C)."""
        p, q = torch.from_numpy(self.probabilities), torch.from_numpy(self.shadow_mean)
        answers: Answers = paper_answer(p, q).numpy().astype(np.float32)
        return answers

    def reversal(self, answers: Answers) -> float:
        """The cosine of answers (B, C) to the target, as a mean share of the largest one."""
        p, q = torch.from_numpy(self.probabilities), torch.from_numpy(self.shadow_mean)
        target = reverse_target(p, q)
        most = torch.cosine_similarity(closest_simplex_point(target), target)
        cosine = torch.cosine_similarity(torch.from_numpy(answers).double(), target)
        return float((cosine / most).mean())


Answer = Callable[[Flagged, np.random.Generator], Answers]
"""Answers (B, C) to flagged queries; the generator stands for noise that is keyed by a secret."""


def keep_largest(kept: int, flagged: Flagged, rng: np.random.Generator) -> Answers:
    """The `kept` largest classes of the published answer stay, the others change their places.

    An answer has the numbers of the published one. Noise deals out those that are not kept.
    """
    order, numbers = _ordered(flagged.published)
    order[:, kept:] = rng.permuted(order[:, kept:], axis=1)
    return _placed(order, numbers)


def hide_rank(flagged: Flagged, rng: np.random.Generator) -> Answers:
    """The true class moves to a uniform rank; the others keep their order and fill the numbers."""
    order, numbers = _ordered(flagged.published)
    rows, classes = order.shape
    others = order[order != flagged.labels[:, None]].reshape(rows, classes - 1)
    rank = rng.integers(0, classes, (rows, 1))
    column = np.arange(classes)[None, :]
    behind = np.clip(column - (column > rank), 0, classes - 2)
    moved = np.where(
        column == rank, flagged.labels[:, None], np.take_along_axis(others, behind, axis=1)
    )
    return _placed(moved, numbers)


def wrong_class(flagged: Flagged, rng: np.random.Generator) -> Answers:
    """Nearly all mass on a wrong class, each as likely as the others."""
    rows, classes = flagged.probabilities.shape
    drawn = (flagged.labels + rng.integers(1, classes, rows)) % classes
    answers = np.full((rows, classes), TAIL / classes, np.float32)
    answers[np.arange(rows), drawn] += np.float32(1.0 - TAIL)
    return answers


def _ordered(answers: Answers) -> tuple[NDArray[np.int64], Answers]:
    """The classes of each row from the largest number to the least, and the numbers, (B, C)."""
    order = np.argsort(-answers, axis=1, kind="stable")
    return order, np.take_along_axis(answers, order, axis=1)


def _placed(order: NDArray[np.int64], numbers: Answers) -> Answers:
    """Answers in which the class `order[i, k]` has the number `numbers[i, k]`, (B, C)."""
    answers = np.empty_like(numbers)
    np.put_along_axis(answers, order, numbers, axis=1)
    return answers


ANSWERS: dict[str, tuple[str, Answer]] = {
    "published": ("as published", lambda flagged, _rng: flagged.published),
    "hidden-rank": ("true class at a random rank", hide_rank),
    **{f"largest-{kept}": (f"{kept} largest stay", partial(keep_largest, kept)) for kept in KEPT},
    "shuffled": ("all numbers shuffled", partial(keep_largest, 0)),
    "uniform-wrong-class": ("a random wrong class", wrong_class),
    "decoy": ("a decoy", lambda flagged, _rng: flagged.decoy),
}
"""Titles and answers by name, from the published reversal to a decoy."""


def run_secrecy_bench(
    options: SecrecyOptions, on_answer: Callable[[str], None] = lambda _title: None
) -> list[dict[str, Any]]:
    """A SecrecyPoint for each of ANSWERS, as a dictionary; `on_answer` is called before each.

    The queries are those that `paper` flags in the stream. Raises ConfigError for data that is
    missing.
    """
    experiment = Experiment(options.dataset, options.seed, Cache(options.cache), options.data_dir)
    stream = experiment.pool(IN)[: options.queries]
    secrets = [seeded_secret(f"secrecy {options.seed} {index}") for index in range(options.secrets)]
    queries = stream[_flagged_rows(experiment, stream, options.budget)]
    drawn = [_flagged(experiment, queries, secret) for secret in secrets]
    decoder = _decoder(experiment, stream, queries, drawn[0].labels)

    def answers_of(answer: Answer) -> list[Answers]:
        generators = [np.random.default_rng([options.seed, index]) for index in range(len(drawn))]
        return [answer(f, rng) for f, rng in zip(drawn, generators, strict=True)]

    _, from_decoys = decoder([flagged.decoy for flagged in drawn])
    points = []
    for name, (title, answer) in ANSWERS.items():
        on_answer(title)
        answers = answers_of(answer)
        reversal = np.mean([flagged.reversal(a) for flagged, a in zip(drawn, answers, strict=True)])
        read, believing = decoder(answers)
        learned = _learned(experiment, queries, answers[0])
        leak = believing - from_decoys
        points.append(SecrecyPoint(name, title, float(reversal), read, believing, leak, learned))
    return [asdict(point) for point in points]


def _flagged_rows(experiment: Experiment, stream: Images, budget: int) -> NDArray[np.int64]:
    """The rows of the stream that `paper` reverses."""
    bundle = experiment.bundle()
    choice = OperatorChoice(Profile.PAPER, budget, seeded_secret("secrecy"))
    with open_in_process(bundle, choice, experiment.protectee(bundle)) as target:
        target.open_account("thief").ask(stream)
        flags = target.traffic.is_reversed
    if flags is None or not flags.any():
        raise ConfigError(
            f"expected flagged queries, got none of {len(stream)}: send more with --queries"
        )
    return np.flatnonzero(flags)


def _flagged(experiment: Experiment, queries: Images, secret: bytes) -> Flagged:
    """The queries as the perturber sees them, in parts: the shadow models run in float64."""
    bundle = experiment.bundle()
    outputs, spec = experiment.protectee(bundle).run(queries), bundle.manifest.shadows
    draw = ShadowDraw(secret, bundle.digest, bundle.geometry, spec.count, spec.drawn)
    shadows = load_shadows(bundle, choose_device("cpu"))
    inputs = queries if spec.on == "inputs" else outputs.features
    members = draw.members(outputs.embeddings, outputs.probabilities.argmax(axis=1))
    means = [
        shadows.mean_probabilities(torch.from_numpy(inputs[part].copy()), members[part]).numpy()
        for part in np.array_split(np.arange(len(queries)), len(queries) // _PART + 1)
    ]
    decoy = make_decoy(secret, bundle.digest, bundle.sketch_space)
    return Flagged(
        outputs.probabilities.astype(np.float64),
        np.concatenate(means),
        decoy.answers(sketch_inputs(queries)),
    )


def _decoder(
    experiment: Experiment, stream: Images, queries: Images, labels: NDArray[np.int64]
) -> Callable[[Sequence[Answers]], tuple[float, float]]:
    """Reads the labels (B,) from answers (B, C), one for each secret: mean shares of the labels.

    The second share is that of a decoder with the belief of a copy of the stream's first answers.
    """
    own = experiment.plain_protectee.run(stream).probabilities
    first = prefix_length(len(stream), own.shape[1])
    belief = posterior(experiment.train_copy(stream[:first], own[:first]), queries)
    parts = divide_rows(np.arange(len(labels)), np.random.default_rng([experiment.seed, 13]))
    reader = Reader(experiment.cache, labels, parts, own.shape[1])

    def share(answers: Sequence[Answers], shown: Answers | None) -> float:
        readings = [reader.read(drawn, shown, seed) for seed, drawn in enumerate(answers)]
        return float(np.mean([reading.is_right.mean() for reading in readings]))

    return lambda answers: (share(answers, None), share(answers, belief))


def _learned(experiment: Experiment, queries: Images, answers: Answers) -> float:
    """The accuracy of a copy of answers (B, C) to queries (B, ...), read at its best rank."""
    split = experiment.split
    belief = posterior(experiment.train_copy(queries, answers), split.test_x)
    order = np.argsort(-belief, axis=1, kind="stable")
    return float((order == split.test_y[:, None]).mean(axis=0).max())

"""KnockoffNets and CopycatCNN as the adversarial-robustness-toolbox ships them.

The library's classes are used unchanged: it chooses the order of the queries, asks, and
trains with its own loop on the last epoch's weights. Queen adds the network, which is the usual
thief's, and the meter behind the attacked classifier.

Sources: Orekondy et al. 2018 (arXiv 1812.02766); Correia-Silva et al. 2018 (arXiv 1806.05476).

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from queen.errors import ConfigError
from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.networks import build_network, training_device
from queen.redteam.targets.base import MeteredTarget

_BATCH = 64


def steal(name: str, uses_probabilities: bool, target: MeteredTarget, thief: Thief) -> nn.Module:
    """Run the library's extraction attack of that name; ConfigError without the library.

    CopycatCNN learns labels, as published; KnockoffNets learns the vectors.
    """
    extraction, classification = _library()
    with _seeded(thief.seed):
        network = build_network(thief.dataset, 0.5)
        attack = getattr(extraction, name)(
            _attacked(classification, target, thief),
            batch_size_fit=_BATCH,
            # One call, so that the queries are dealt out to the accounts in turn.
            batch_size_query=len(thief.stream),
            nb_epochs=_epochs(len(thief.stream)),
            nb_stolen=len(thief.stream),
            use_probability=uses_probabilities,
        )
        copy = _trainable(classification, network, target.num_classes, thief)
        attack.extract(thief.stream, thieved_classifier=copy)
    return network.cpu().eval()


def _library() -> tuple[Any, Any]:
    """The library's attacks and its classifiers: five seconds to import."""
    try:
        from art.attacks import extraction  # noqa: PLC0415 - slow, and optional
        from art.estimators import classification  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigError(
            "expected the adversarial-robustness-toolbox, got no module of it; "
            "install queen[redteam]"
        ) from error
    return extraction, classification


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, from which the library draws, and restore them."""
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)


def _attacked(classification: Any, target: MeteredTarget, thief: Thief) -> Any:
    """The target as a classifier of the library; every prediction is charged.

    The library knows no refusals: a refused query counts as an even answer.
    """

    def ask(queries: np.ndarray) -> np.ndarray:
        answers = ask_spread(target, queries, thief.accounts)
        answers[~is_answered(answers)] = 1 / target.num_classes
        return answers

    return classification.BlackBoxClassifier(ask, thief.stream.shape[1:], target.num_classes)


def _trainable(classification: Any, network: nn.Module, classes: int, thief: Thief) -> Any:
    return classification.PyTorchClassifier(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam(network.parameters(), lr=2e-3),
        input_shape=thief.stream.shape[1:],
        nb_classes=classes,
        device_type="gpu" if training_device(thief.dataset) == "cuda" else "cpu",
    )


def _epochs(queries: int) -> int:
    """Epochs: the library's own 10, or more for the usual thief's 600 steps."""
    return int(np.clip(np.ceil(600 * _BATCH / queries), 10, 100))


ATTACKS = (
    Attack(
        "art-knockoff",
        "KnockoffNets of the adversarial-robustness-toolbox, unchanged",
        partial(steal, "KnockoffNets", True),
    ),
    Attack(
        "art-copycat",
        "CopycatCNN of the adversarial-robustness-toolbox, unchanged",
        partial(steal, "CopycatCNN", False),
    ),
)

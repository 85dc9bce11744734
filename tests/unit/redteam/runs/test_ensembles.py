"""The copies of an attack, and their ensembles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from queen.errors import FitError
from queen.redteam.datasets import Images
from queen.redteam.networks import build_network, predict
from queen.redteam.runs.ensembles import CopyEnsemble, CopyTrainer
from queen.redteam.targets.base import Answers

QUERIES = np.random.default_rng(0).random((6, 64), dtype=np.float32)
ANSWERS = np.full((6, 10), 0.1, np.float32)


class Training:
    """Networks that are not trained, of the seed that the salt names; remembers the lessons."""

    def __init__(self) -> None:
        self.lessons: list[tuple[int, int]] = []

    def __call__(self, queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        """A new network for every salt."""
        assert len(queries) == len(targets)
        self.lessons.append((len(queries), salt))
        torch.manual_seed(salt)
        return build_network("digits", 0.5)


def _probabilities(network: nn.Module) -> np.ndarray:
    with torch.inference_mode():
        return torch.softmax(network(torch.from_numpy(QUERIES)), dim=1).numpy()


def test_an_ensemble_answers_with_the_mean_of_its_copies() -> None:
    """Softmax of its outputs is the mean, and labels are read from it as from any network."""
    copies = [Training()(QUERIES, ANSWERS, salt=salt) for salt in range(3)]
    mean = np.mean([_probabilities(copy) for copy in copies], axis=0)
    ensemble = CopyEnsemble(copies)
    np.testing.assert_allclose(_probabilities(ensemble), mean, rtol=1e-5)
    np.testing.assert_array_equal(predict(ensemble, QUERIES), mean.argmax(axis=1))


def test_company_learns_the_same_answers() -> None:
    """The copy that an attack returns, not another that it trained, gets two more of its lesson."""
    training = Training()
    trainer = CopyTrainer(training, members=3)
    trainer(QUERIES[:4], ANSWERS[:4])
    copy = trainer(QUERIES, ANSWERS, salt=1)
    trainer(QUERIES[:2], ANSWERS[:2])
    training.lessons.clear()
    ensemble = trainer.with_company(copy)
    assert [count for count, _ in training.lessons] == [6, 6]
    assert len({salt for _, salt in training.lessons} | {1}) == 3
    assert isinstance(ensemble, CopyEnsemble)
    assert ensemble.copies[0] is copy


def test_a_single_member_is_the_copy_itself() -> None:
    """Nothing more is trained, and any network will do."""
    network = build_network("digits", 0.5)
    assert CopyTrainer(Training(), members=1).with_company(network) is network


def test_a_network_of_the_attacks_own_gets_no_company() -> None:
    """Its lesson is not known."""
    with pytest.raises(FitError, match="by the thief's learner"):
        CopyTrainer(Training(), members=2).with_company(build_network("digits", 0.5))

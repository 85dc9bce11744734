"""Each baseline against the equation of its paper, written the slow way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from queen.errors import ConfigError
from queen.redteam.datasets import load_digits_split
from queen.redteam.defenses.adaptive_misinformation import (
    blend,
    reversed_cross_entropy,
    threshold_for,
    train_misinformation_model,
)
from queen.redteam.defenses.grad2 import all_ones, own_gradient_reversed, redirect
from queen.redteam.defenses.mad_argmax import maximize_angular_deviation
from queen.redteam.defenses.modelguard_s import fit_codebooks, quantize
from queen.redteam.defenses.parts.surrogates import class_probabilities, random_network
from queen.redteam.defenses.reverse_sigmoid import reverse_sigmoid
from queen.redteam.defenses.rounding import rounded
from queen.redteam.defenses.top_one import top_one
from queen.redteam.networks import accuracy


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks as small as these take longer on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _answers(count: int, alpha: float = 0.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(10, alpha), count).astype(np.float32)


def _inputs(count: int) -> np.ndarray:
    return np.random.default_rng(7).random((count, 64)).astype(np.float32)


def _log_likelihood_gradients(network: torch.nn.Module, row: np.ndarray, weights) -> np.ndarray:
    """G (C, P): one backward pass a class."""
    log_q = network(torch.from_numpy(row[None]).double()).log_softmax(dim=1)[0]
    rows = [torch.autograd.grad(value, weights, retain_graph=True) for value in log_q]
    return np.stack([np.concatenate([part.flatten().numpy() for part in row]) for row in rows])


def test_top_one_is_one_hot_of_the_first_largest():
    """A tie goes to the lower class, as argmax has it."""
    y = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], np.float32)
    assert top_one(y).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_rounding_renormalises_and_saves_rows_that_vanish():
    """One decimal, and the label alone where nothing is left."""
    y = np.zeros((2, 30), np.float32)
    y[0, :4] = [0.33, 0.33, 0.3, 0.04]
    y[1] = 1 / 31
    y[1, 5] = 2 / 31
    answers = rounded(y)
    np.testing.assert_allclose(answers[0, :4], [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    assert answers[1].tolist() == np.eye(30)[5].tolist()


def test_reverse_sigmoid_is_its_formula():
    """norm(y - beta (sigmoid(gamma logit(y)) - 0.5)), element by element."""
    y = _answers(20, 1.0)
    for row, answer in zip(y.astype(np.float64), reverse_sigmoid(y), strict=True):
        logits = [math.log(p / (1 - p)) for p in row]
        raw = np.array(
            [
                p - 0.2 * (1 / (1 + math.exp(-0.2 * logit)) - 0.5)
                for p, logit in zip(row, logits, strict=True)
            ]
        )
        np.testing.assert_allclose(answer, raw / raw.sum(), atol=1e-6)


def _best_by_hand(gradients: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The vertex of the published objective, and from y toward it to an L1 distance of 1."""
    label, true = int(y.argmax()), gradients.T @ y
    others = [k for k in range(len(y)) if k != label]
    best, best_value = y, -1.0
    for size in range(len(y)):
        for members in itertools.combinations(others, size):
            vertex = np.zeros(len(y))
            vertex[[label, *members]] = 1 / (size + 1)
            turned = gradients.T @ vertex
            deviation = turned / np.linalg.norm(turned) - true / np.linalg.norm(true)
            if (value := float(deviation @ deviation)) > best_value:
                best, best_value = vertex, value
    return y + min(1.0, 1.0 / np.abs(best - y).sum()) * (best - y)


def test_mad_is_the_published_objective_over_the_last_layer():
    """The angle between x - q and y - q is the angle of the gradients of the last weights."""
    network, inputs, y = random_network("digits", 1).double(), _inputs(6), _answers(6)
    answers = maximize_angular_deviation(y, class_probabilities(network, inputs))
    for row, truth, answer in zip(inputs, y.astype(np.float64), answers, strict=True):
        gradients = _log_likelihood_gradients(network, row, [network[-1].weight])
        np.testing.assert_allclose(answer, _best_by_hand(gradients, truth), atol=1e-4)


def test_mad_refuses_more_classes_than_it_can_search():
    """2^(C - 1) vertices are too many well before C = 100."""
    y = np.full((1, 100), 0.01, np.float32)
    with pytest.raises(ConfigError, match="at most 14 classes"):
        maximize_angular_deviation(y, y.astype(np.float64))


def test_misinformation_enters_below_the_threshold():
    """Sure answers stay, unsure ones become the lie, and at tau it is half of each."""
    y = np.array([[0.9, 0.1], [0.6, 0.4], [0.75, 0.25]], np.float32)
    lies = np.array([[0.0, 1.0]] * 3)
    expected = [[0.9, 0.1], [0.0, 1.0], [0.375, 0.625]]
    np.testing.assert_allclose(blend(y, lies, 0.75), expected, atol=1e-6)


def test_the_threshold_perturbs_the_stated_share():
    """A fifth of the training answers is more lie than truth at a share of 0.2."""
    y = _answers(500)
    threshold = threshold_for(y, 0.2)
    assert (y.max(axis=1) < threshold).mean() == pytest.approx(0.2, abs=0.01)


def test_reversed_cross_entropy_is_the_log_of_the_rest():
    """-log(1 - q_y), also where q_y is so near 1 that 1 - q_y is 0 in float32."""
    logits = torch.tensor([[1.0, 2.0, 0.5], [60.0, 0.0, 0.0]])
    labels = torch.tensor([1, 0])
    plain = -math.log(1 - float(logits[0].softmax(dim=0)[1]))
    assert float(reversed_cross_entropy(logits[:1], labels[:1])) == pytest.approx(plain, rel=1e-5)
    far = float(reversed_cross_entropy(logits[1:], labels[1:]))
    assert far == pytest.approx(60 - math.log(2), rel=1e-5)


def test_the_misinformation_model_avoids_the_label():
    """It is right less often than chance."""
    split = load_digits_split(0)
    liar = train_misinformation_model("digits", split.train_x, split.train_y, seed=0)
    assert accuracy(liar, split.test_x.astype(np.float64), split.test_y) < 0.05


def test_every_training_answer_has_a_codeword_within_the_budget():
    """Codewords are added until it holds, and there are far fewer than answers."""
    y = _answers(400)
    codebooks = fit_codebooks(y)
    assert sum(len(codewords) for codewords in codebooks) < 100
    for row, label in zip(y, y.argmax(axis=1), strict=True):
        assert np.abs(codebooks[label] - row).sum(axis=1).min() <= 1.0


def test_codewords_keep_their_label():
    """A mean of answers with a label has the label, and one without answers stands for itself."""
    y = _answers(300)
    y = y[y.argmax(axis=1) != 4]
    for label, codewords in enumerate(fit_codebooks(y)):
        assert (codewords.argmax(axis=1) == label).all()
        assert len(codewords) >= 1
    assert fit_codebooks(y)[4].tolist() == [np.eye(10)[4].tolist()]


def test_an_answer_is_the_first_codeword_near_enough():
    """Not the nearest: what stands behind in the codebook changes nothing."""
    codebooks = (np.array([[0.7, 0.3], [0.9, 0.1]]), np.array([[0.5, 0.5]]))
    y = np.array([[0.91, 0.09], [0.55, 0.45]], np.float32)
    np.testing.assert_allclose(quantize(y, codebooks), [[0.7, 0.3]] * 2, atol=1e-4)


def test_what_no_codeword_covers_is_drawn_as_far_as_the_budget():
    """The budget and the label hold for answers unlike those of the training set."""
    codebooks = (np.array([[1.0, 0.0, 0.0]]),) * 3
    y = np.array([[0.34, 0.33, 0.33]], np.float32)
    np.testing.assert_allclose(quantize(y, codebooks), [[0.84, 0.08, 0.08]], atol=1e-4)


def test_slopes_are_the_whole_jacobian_times_the_direction():
    """c = G 1 and c = -G G'y, G over every parameter of the surrogate."""
    network, inputs, y = random_network("digits", 2).double(), _inputs(5), _answers(5)
    wide, truth = torch.from_numpy(inputs).double(), torch.from_numpy(y).double()
    ones, own = all_ones(network, wide, truth), own_gradient_reversed(network, wide, truth)
    for row, label, up, back in zip(inputs, truth.numpy(), ones, own, strict=True):
        gradients = _log_likelihood_gradients(network, row, list(network.parameters()))
        np.testing.assert_allclose(up.detach(), gradients.sum(axis=1), atol=1e-9)
        np.testing.assert_allclose(back.detach(), -gradients @ gradients.T @ label, atol=1e-9)


def test_redirection_moves_half_the_budget_to_the_best_class():
    """From the worst class up, until half of the L1 distance has left them."""
    y = np.array([[0.5, 0.3, 0.2]], np.float32)
    answers = redirect(y, np.array([[-1.0, 2.0, 0.0]]), l1=0.8)
    np.testing.assert_allclose(answers, [[0.1, 0.7, 0.2]], atol=1e-4)

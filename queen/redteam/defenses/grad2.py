"""GRAD2: the answer that redirects the thief's gradient as far as an L1 distance allows.

Shapes: B batch, C classes, P the surrogate's parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.linear_program import maximize
from queen.redteam.defenses.parts.simplex import FloatArray, as_answers, l1_room, on_simplex
from queen.redteam.defenses.parts.surrogates import random_network, wide_parts
from queen.redteam.networks import Regime, train_network
from queen.redteam.targets.base import Answers

_L1 = 1.0

Parameters = dict[str, Tensor]
Slopes = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""c_k = (gradient of the surrogate's log q_k) z: network, inputs (B, ...), y (B, C) -> (B, C)."""


def redirect(probabilities: Answers, slopes: FloatArray, l1: float = _L1) -> Answers:
    """argmax of <G'y', z> over the simplex with ||y' - y||_1 <= l1, (B, C), (B, C) -> (B, C).

    Mazeika, Li, Forsyth, "How to Steer Your Adversary: Targeted and Efficient Model
    Stealing Defenses with Gradient Redirection", ICML 2022. Row k of G is the gradient of
    the surrogate's log-likelihood of class k, z the direction wanted, `slopes` c = G z, so
    the objective is c y': linear, and greedy is exact. The label is not kept.
    """
    return as_answers(maximize(slopes, on_simplex(probabilities), l1_room(l1)))


def own_gradient_reversed(network: nn.Module, inputs: Tensor, probabilities: Tensor) -> Tensor:
    """z = -G'y, against the step that the clean answer y would cause, row by row: c = -G G'y."""
    parameters = _parameters(network)

    def of_one(single: Tensor, y: Tensor) -> Tensor:
        def log_likelihood(values: Parameters) -> Tensor:
            return _log_likelihood(network, values, single[None])[0]

        step = grad(lambda values: (y * log_likelihood(values)).sum())(parameters)
        along: Tensor = jvp(log_likelihood, (parameters,), (step,))[1]
        return -along

    slopes: Tensor = vmap(of_one)(inputs, probabilities)
    return slopes


def all_ones(network: nn.Module, inputs: Tensor, _probabilities: Tensor) -> Tensor:
    """z = (1, ..., 1): every parameter of the thief grows; the same z for all queries."""
    parameters = _parameters(network)
    ones = {name: torch.ones_like(value) for name, value in parameters.items()}

    def log_likelihood(values: Parameters) -> Tensor:
        return _log_likelihood(network, values, inputs)

    slopes: Tensor = jvp(log_likelihood, (parameters,), (ones,))[1]
    return slopes


def _parameters(network: nn.Module) -> Parameters:
    return {name: value.detach() for name, value in network.named_parameters()}


def _log_likelihood(network: nn.Module, parameters: Parameters, inputs: Tensor) -> Tensor:
    logits: Tensor = functional_call(network, parameters, (inputs,))
    return logits.log_softmax(dim=1)


def _toward(direction: Slopes) -> Callable[[Training, int], Answer]:
    def prepare(training: Training, seed: int) -> Answer:
        # A thief early in training: one pass over the protectee's answers.
        network = train_network(
            random_network(training.dataset, seed),
            training.inputs,
            training.probabilities,
            Regime(epochs=1, seed=seed),
        ).double()

        def answer(asked: Asked) -> Answers:
            parts = zip(wide_parts(asked.inputs), wide_parts(asked.probabilities), strict=True)
            slopes = [direction(network, *part) for part in parts if len(part[0])]
            if not slopes:
                return asked.probabilities
            return redirect(asked.probabilities, torch.cat(slopes).numpy())

        return answer

    return prepare


DEFENSE = Defense(
    "grad2", "thief's gradient reversed as far as L1 1 lets it", _toward(own_gradient_reversed), _L1
)
FIXED_DIRECTION = Defense(
    "grad2-all-ones", "thief's gradient turned to one fixed direction, L1 1", _toward(all_ones), _L1
)

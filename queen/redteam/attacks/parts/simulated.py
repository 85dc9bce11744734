"""The stream of queries asked for real, and simulated on a model of the thief's own.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Simulation, Thief, ask_spread
from queen.redteam.attacks.parts.prefix import ask_prefix
from queen.redteam.targets.base import Answers, MeteredTarget


@dataclass(frozen=True, eq=False)
class SimulatedStream:
    """The `answers` (Q, C) to the stream, and a `simulation` of the same queries.

    The simulated defense guards the `twin`, which is the copy of the prefix; the rows of
    the simulation are those of the stream.
    """

    answers: Answers
    twin: nn.Module
    simulation: Simulation


def ask_and_simulate(target: MeteredTarget, thief: Thief) -> SimulatedStream:
    """Ask about the whole stream, and simulate it on a copy of the first answers.

    Raises FitError where an account's share of the stream leaves out a class: the accounts
    must be few enough for each of them to ask about every class.
    """
    prefix = ask_prefix(target, thief)
    # Refused rows stay: those of the simulation are the same queries.
    later = ask_spread(target, thief.stream[len(prefix.queries) :], thief.accounts)
    answers = np.concatenate([prefix.answers, later])
    simulation = simulate_spread(thief, prefix.copy, len(prefix.queries))
    return SimulatedStream(answers, prefix.copy, simulation)


def simulate_spread(thief: Thief, twin: nn.Module, prefix: int) -> Simulation:
    """The simulation of the stream, account by account, in the stream's order.

    An account's verdicts follow from its own queries, so each account is simulated with the
    queries that it was dealt: of the first `prefix` queries, then of the rest.
    """
    queries, accounts = np.arange(len(thief.stream)), thief.accounts
    dealt = [
        np.concatenate([queries[:prefix][account::accounts], queries[prefix:][account::accounts]])
        for account in range(accounts)
    ]
    shares = [share for share in dealt if len(share)]
    parts = [thief.simulate(twin, thief.stream[share]) for share in shares]
    order = np.argsort(np.concatenate(shares))
    return Simulation(
        np.concatenate([part.clean for part in parts])[order],
        np.concatenate([part.defended for part in parts])[order],
        np.concatenate([part.is_flagged for part in parts])[order],
    )

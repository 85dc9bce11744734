"""A demo of few digits, and traffic made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from queen.demo.accounts import Sent
from queen.demo.scenario import SCENARIOS, Customer, Demo, Thief
from queen.demo.traffic import Traffic
from queen.redteam.attacks.base import corners
from queen.redteam.datasets import load_digits_split

THIEF_QUERIES = 60


def small_demo(out: Path) -> Demo:
    """A demo of a thief who sends 60 queries, and two customers who send 20 each."""
    scenario = replace(SCENARIOS["digits"], piracy_seeds=1)
    split = load_digits_split(0)
    thief = Thief("thief-in-distribution", "images like the model's own", split.train_x[:60])
    customers = tuple(
        Customer(name, f"{name} customer", split.test_x[:20], split.test_y[:20])
        for name in ("happy", "unhappy")
    )
    return Demo(scenario, split, (thief,), customers, 10, 0, out)


def traffic_of(labels: NDArray[np.int64], clean: int) -> Traffic:
    """Answers that are sure of these labels, all reversed after the first `clean`."""
    reversals = np.maximum(np.arange(len(labels)) - clean + 1, 0)
    return Traffic(corners(labels, 10), reversals)


def sent_by(demo: Demo) -> Sent:
    """A customer gets the truth; another one ten wrong labels and four refusals.

    Half of the thief's labels are wrong.
    """
    truth, stolen = demo.split.test_y[:20], demo.split.train_y[:THIEF_QUERIES]
    unhappy = traffic_of(np.concatenate([truth[:10], (truth[10:] + 1) % 10]), 10)
    unhappy.answers[:4] = np.nan
    defended = np.concatenate([stolen[:30], (stolen[30:] + 1) % 10])
    return Sent(
        {
            "thief-in-distribution": traffic_of(defended, 30),
            "happy": traffic_of(truth, 20),
            "unhappy": unhappy,
        },
        {
            "thief-in-distribution": corners(stolen, 10),
            "happy": corners(truth, 10),
            "unhappy": corners(truth, 10),
        },
    )

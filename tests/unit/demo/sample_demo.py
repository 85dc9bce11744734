"""A demo of few digits, and traffic made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from queen.demo.accounts import Sent
from queen.demo.scenario import SCENARIOS, Demo
from queen.demo.traffic import Traffic
from queen.redteam.attacks.base import corners
from queen.redteam.datasets import load_digits_split

THIEF_QUERIES = 60


def small_demo(out: Path) -> Demo:
    """A demo whose thief sends 60 queries and trains a copy of each kind."""
    scenario = replace(
        SCENARIOS["digits"],
        honest_queries=20,
        thief_queries=THIEF_QUERIES,
        piracy_seeds=1,
        milestones=(30, 600),
    )
    split = load_digits_split(0)
    return Demo(scenario, split, split.train_x[:THIEF_QUERIES], 10, 0, out)


def traffic_of(labels: NDArray[np.int64], clean: int) -> Traffic:
    """Answers that are sure of these labels, all reversed after the first `clean`."""
    reversals = np.maximum(np.arange(len(labels)) - clean + 1, 0)
    return Traffic(corners(labels, 10), reversals)


def sent_by(demo: Demo) -> Sent:
    """Honest accounts get the truth, the first heavy half too; half of the thief's is wrong."""
    truth, stolen = demo.split.test_y, demo.split.train_y[:THIEF_QUERIES]
    half, ordinary = len(truth) // 2, demo.scenario.honest_queries
    heavy = np.concatenate([truth[:half], (truth[half:] + 1) % 10])
    defended = np.concatenate([stolen[:30], (stolen[30:] + 1) % 10])
    return Sent(
        honest=traffic_of(truth[:ordinary], ordinary),
        heavy=traffic_of(heavy, half),
        thief=traffic_of(defended, 30),
        undefended=traffic_of(stolen, THIEF_QUERIES),
        own_test=corners(truth, 10),
    )

"""A thief's images and a crossing policy, made by hand."""

from __future__ import annotations

import numpy as np

from queen.method.crossing import CAP_OFF, PolicyThresholds
from queen.method.walk.ledger_walk import LedgerWalk
from queen.method.walk.sent_samples import SentSamples
from queen.redteam.frontier.policies import Contender
from queen.redteam.frontier.thieves import Stream
from tests.unit.method.regions import discs, inside_region

CLASSES = 6
GEOMETRY = discs(CLASSES, coverage_fraction=0.05)


def stream(count: int = 1200, queries: int = 900) -> Stream:
    """Images inside of their regions, classes mixed; the last class is wanted most."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(count) % CLASSES
    embeddings = [inside_region(rng, GEOMETRY, label, 1) for label in labels.tolist()]
    walk = LedgerWalk(SentSamples(GEOMETRY, np.concatenate(embeddings), labels))
    return Stream(walk, queries, list(range(CLASSES))[::-1])


def contender(breadth: int, class_cap: int = CAP_OFF) -> Contender:
    """A policy of a small budget: about 20 records of a class."""
    threshold = np.full(CLASSES, 0.02)
    caps = None if class_cap == CAP_OFF else class_cap * threshold
    return Contender(20, breadth, class_cap, PolicyThresholds(0, threshold, caps, breadth))

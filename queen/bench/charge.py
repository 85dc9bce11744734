"""Measures what a charge costs honest accounts, and what it leaves an active thief.

Every honest account draws samples that nobody trained on, by its kind of traffic. Active thieves
ask about the images that copies doubt most, alone or between plain images, through a deployment
under `strict`, until the account is over its budget or off-distribution; a plain thief asks about
images as they come. Shapes: N images, C classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from queen.method.answers.label_preserving import preserve_label
from queen.method.answers.rounding import round_answers
from queen.method.contracts import Profile
from queen.method.crossing import CrossingPolicy, cap_text, policy_thresholds
from queen.method.honest.traffic import CHANGED, ClassRows
from queen.method.sensitivity import Charge
from queen.method.walk.ledger_walk import NEVER, LedgerWalk
from queen.method.walk.sent_samples import SentSamples
from queen.redteam.attacks.active import ask_actively
from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.parts.watch import Probing
from queen.redteam.datasets import Images
from queen.redteam.networks import accuracy
from queen.redteam.runs.experiment import Experiment
from queen.redteam.targets.base import Answers, MeteredTarget
from queen.redteam.targets.in_process import OperatorChoice, open_in_process, seeded_secret

QUERIES = 10_000
"""Queries of an honest account."""
EVERY = (1, 3)
"""Images of a group of the active thieves: the first is doubted, the others are plain."""


@dataclass(frozen=True)
class ChargedThief:
    """The clean answers that a thief gets under a charge, and the copy that they give.

    The thief asks about a doubted image in each group of `every`, or about plain images only (0).
    `plain_copy` is the copy of as many plain images.
    """

    every: int
    clean: int
    copy: float
    plain_copy: float


def honest_crossings(
    experiment: Experiment, charge: Charge, policy: CrossingPolicy, accounts: int
) -> dict[str, dict[str, int | None]]:
    """By kind of traffic, answers before an account is over: the fewest, median, accounts over.

    None for an account that is not over after 10,000 queries.
    """
    split, bundle = experiment.split, experiment.bundle()
    outputs = experiment.plain_protectee.run(np.concatenate([split.test_x, split.pool_x]))
    labels = outputs.logits.argmax(axis=1)
    walk = LedgerWalk(SentSamples(bundle.geometry, outputs.embeddings, labels, charge))
    by_class = ClassRows(np.concatenate([split.test_y, split.pool_y]))
    thresholds = policy_thresholds(bundle.geometry, bundle.mean_squared_sqs, policy)
    crossings = {}
    for index, kind in enumerate(by_class.kinds()):
        if kind in CHANGED:
            continue
        rng = np.random.default_rng([experiment.seed, index])
        orders = np.stack([by_class.draw(kind, QUERIES, rng) for _ in range(accounts)])
        over = walk.over(orders, thresholds)
        fewest, middle = (int(np.quantile(over, share, method="lower")) for share in (0.0, 0.5))
        crossings[kind.value] = {
            "fewest": None if fewest == NEVER else fewest + 1,
            "median": None if middle == NEVER else middle + 1,
            "over": int((over < NEVER).sum()),
        }
    return crossings


def charged_thieves(
    experiment: Experiment, charge: Charge, policy: CrossingPolicy, queries: int
) -> list[ChargedThief]:
    """The plain thief and the active thieves of an experiment, with that many queries each."""
    thief = Thief(
        dataset=experiment.dataset,
        pool=experiment.pool("in-distribution"),
        queries=queries,
        seed=experiment.seed,
        accounts=1,
        train=experiment.train_copy,
    )
    bundle = experiment.bundle()
    choice = OperatorChoice(
        Profile.STRICT,
        policy.budget,
        seeded_secret(f"defender {experiment.seed}"),
        breadth=policy.breadth,
        class_cap=policy.class_cap,
        charge=charge,
    )
    protectee = experiment.protectee(bundle)
    with open_in_process(bundle, choice, protectee) as target:
        target.open_account("plain").ask(thief.stream)
        flags = target.traffic.is_reversed
    prefix = len(thief.stream) if flags is None or not flags.any() else int(flags.argmax())
    floor = _plain_copy(experiment, thief.pool[:prefix])
    thieves = [ChargedThief(0, prefix, floor, floor)]
    for every in EVERY:
        with open_in_process(bundle, choice, protectee) as target:
            metered, probing = MeteredTarget(target, queries), Probing(every, repeats=1)
            images, answers = ask_actively(metered, thief, probing)
        copy = _copy_accuracy(experiment, images, answers)
        as_many = _plain_copy(experiment, thief.pool[: len(images)])
        thieves.append(ChargedThief(every, len(images), copy, as_many))
    return thieves


def run_charge_bench(
    experiment: Experiment,
    charge: Charge,
    policy: CrossingPolicy,
    *,
    accounts: int = 1000,
    queries: int = 8400,
) -> dict[str, Any]:
    """Honest accounts by kind, and the thieves, under a charge and a policy.

    Raises ConfigError for a budget for which the regions have no room.
    """
    return {
        "charge": charge.value,
        "budget": policy.budget,
        "breadth": policy.breadth,
        "class_cap": cap_text(policy.class_cap),
        "accounts": accounts,
        "honest": honest_crossings(experiment, charge, policy, accounts),
        "thieves": [asdict(row) for row in charged_thieves(experiment, charge, policy, queries)],
        "seed": experiment.seed,
    }


def _plain_copy(experiment: Experiment, images: Images) -> float:
    """Accuracy of the copy that clean answers to these images (N, ...) give."""
    outputs = experiment.plain_protectee.run(images)
    answers = preserve_label(experiment.bundle().head, outputs.logits, outputs.features)
    answers = round_answers(answers)
    return _copy_accuracy(experiment, images, answers)


def _copy_accuracy(experiment: Experiment, images: Images, answers: Answers) -> float:
    copy = experiment.train_copy(images, answers)
    split = experiment.split
    return round(accuracy(copy, split.test_x, split.test_y), 4)

"""Answers that keep the label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from queen_inference.answers.fallback import Fallback
from queen_inference.answers.preserve import Preserver
from queen_inference.metrics import InferenceMetrics
from queen_inference.protectee import Protectee

from queen.bundle import Bundle
from queen.method.answers.label_preserving import preserve_label
from queen.method.answers.rounding import round_answers
from queen.method.contracts import SAFE_MARGIN, Profile
from tests.bundles import SmallBundle
from tests.unit.inference.batches import account_of, batch_of
from tests.unit.inference.conftest import Counted, granting

PROFILES = [Profile.PAPER, Profile.SAFE, Profile.OBSERVE, Profile.STRICT]


def preserver_of(bundle: Bundle, metrics: InferenceMetrics) -> Preserver:
    """A preserver with a fallback."""
    return Preserver(bundle, Fallback("protect", metrics, granting()), metrics)


async def test_every_profile_has_its_answer(
    small: SmallBundle, bundle: Bundle, protectee: Protectee, metrics: InferenceMetrics
) -> None:
    """The closed form, rounded under `strict`; a margin under `safe`; its own under `observe`."""
    accounts = [account_of(profile) for profile in PROFILES]
    batch = batch_of(small, protectee, accounts, [8, 8, 8, 8])
    answers = preserver_of(bundle, metrics).answers(batch)
    soft = preserve_label(bundle.head, batch.outputs.logits, batch.outputs.features)
    paper, safe, observed, strict = (rows for _, rows in batch)
    np.testing.assert_array_equal(answers[paper], soft[paper])
    np.testing.assert_array_equal(answers[strict], round_answers(soft[strict]))
    np.testing.assert_array_equal(answers[observed], batch.outputs.probabilities[observed])
    ordered = np.sort(answers[safe], axis=1)
    assert ((ordered[:, -1] - ordered[:, -2]) >= SAFE_MARGIN).all()
    np.testing.assert_array_equal(answers.argmax(axis=1), batch.labels)


async def test_an_answer_depends_on_its_own_row_alone(
    small: SmallBundle, bundle: Bundle, protectee: Protectee, metrics: InferenceMetrics
) -> None:
    """The same bits alone and among others."""
    accounts = [account_of(profile) for profile in PROFILES]
    batch = batch_of(small, protectee, accounts, [3, 3, 3, 3])
    preserver = preserver_of(bundle, metrics)
    together = preserver.answers(batch)
    for number, (_, rows) in enumerate(batch):
        alone = batch.part([number == other for other in range(len(PROFILES))])
        assert preserver.answers(alone).tobytes() == together[rows].tobytes()


async def test_a_broken_contract_is_mended_and_counted(
    small: SmallBundle,
    bundle: Bundle,
    protectee: Protectee,
    metrics: InferenceMetrics,
    counted: Counted,
) -> None:
    """An answer that is not of the simplex leaves as a protect answer, others as they are."""
    batch = batch_of(small, protectee, [account_of(Profile.PAPER)], [3])
    logits = batch.outputs.logits.copy()
    logits[1] = np.nan
    broken = replace(batch, outputs=replace(batch.outputs, logits=logits))
    preserver = preserver_of(bundle, metrics)
    answers, expected = preserver.answers(broken), preserver.answers(batch)
    np.testing.assert_array_equal(answers[[0, 2]], expected[[0, 2]])
    assert answers[1].max() == np.float32(0.9)
    assert answers[1].argmax() == batch.labels[1]
    assert counted("queen_contract_violations_total") == 1

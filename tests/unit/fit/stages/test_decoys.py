from dataclasses import replace

import numpy as np
import pytest

from queen.fit.fitted import Fitted
from queen.fit.stages.decoys import fit_decoys
from queen.method.answers.decoy import sketch_inputs
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered


def _sure_of(fitted: Fitted, held_out: float, others: float) -> Fitted:
    """The fit with those largest probabilities."""
    largest = np.where(fitted.held_out, held_out, others).astype(np.float32)[:, None]
    classes = len(fitted.class_names)
    rest = np.broadcast_to((1 - largest) / (classes - 1), (len(largest), classes - 1))
    probabilities = np.concatenate([largest, rest], axis=1)
    fitted.responses = replace(fitted.responses, probabilities=probabilities)
    return fitted


def test_the_frame_is_that_of_the_training_inputs() -> None:
    """The mean sketch over more samples than one part holds."""
    inputs, labels = blobs(per_class=200)
    space = fit_decoys(answered(inputs, labels))
    np.testing.assert_allclose(space.mean, sketch_inputs(inputs).mean(axis=0), atol=1e-6)
    assert space.class_means.shape[0] == 4


@pytest.mark.parametrize(
    ("per_class", "confidence"),
    [(60, 0.7), (9, 0.9)],
    ids=["held-out samples", "none held out"],
)
def test_the_confidence_is_that_on_held_out_samples(per_class: int, confidence: float) -> None:
    """A classifier is surer of the samples it was trained on; those stand in for none."""
    fitted = _sure_of(answered(*blobs(per_class=per_class)), held_out=0.7, others=0.9)
    assert fit_decoys(fitted).confidence == pytest.approx(confidence, abs=1e-6)


def test_no_decoy_imitates_certainty() -> None:
    """The confidence stays below 1."""
    fitted = _sure_of(answered(*blobs()), held_out=1.0, others=1.0)
    assert fit_decoys(fitted).confidence == 0.999

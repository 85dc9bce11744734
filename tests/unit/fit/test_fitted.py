import numpy as np
import pytest

from queen.fit.training_set import held_out_rows
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered


def test_a_part_cannot_be_read_before_its_stage() -> None:
    """A stage out of order fails at once, by the name of the part that it lacks."""
    fitted = answered(*blobs())
    with pytest.raises(AttributeError, match="regions"):
        _ = fitted.regions


@pytest.mark.parametrize("shadows_on", ["inputs", "features"])
def test_shadows_read_inputs_or_features(shadows_on: str) -> None:
    """As the options say."""
    fitted = answered(*blobs(), shadows_on=shadows_on)
    read = {"inputs": fitted.samples.x, "features": fitted.responses.features}
    assert fitted.shadow_inputs is read[shadows_on]


def test_held_out_samples_follow_the_seed() -> None:
    """All stages hold out the same samples, those of the seed."""
    features, labels = blobs()
    fitted = answered(features, labels, seed=4)
    np.testing.assert_array_equal(fitted.held_out, held_out_rows(labels, 4))


def test_the_predicted_class_has_the_largest_logit() -> None:
    """Of every sample."""
    responses = answered(*blobs()).responses
    np.testing.assert_array_equal(responses.predicted, responses.logits.argmax(axis=1))

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.stages.head import fit_head
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered


def test_the_head_is_the_protectees_with_centers_of_the_whole_set() -> None:
    """W and b of the graph, means of the features by true class, and the mean distance to them."""
    features, labels = blobs()
    fitted = answered(features, labels)
    head = fit_head(fitted)
    logits = features @ head.weight.T + head.bias
    np.testing.assert_allclose(logits, fitted.responses.logits, rtol=1e-4, atol=1e-3)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(4)])
    np.testing.assert_allclose(head.feature_centers, means, atol=1e-6)
    distances = np.linalg.norm(features - means[labels], axis=1)
    assert head.spread == pytest.approx(distances.mean(), rel=1e-5)


def test_features_without_a_spread_are_refused() -> None:
    """There is no unit for a step then."""
    features = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    with pytest.raises(FitError, match="all samples of a class have the same features"):
        fit_head(answered(features, np.repeat(np.arange(3), 4)))

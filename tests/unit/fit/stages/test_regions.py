import numpy as np
import onnx

from queen.fit.graph.session import GraphSession
from queen.fit.stages.regions import fit_regions
from queen.fit.training.mapping import embed, train_mapping
from queen.method.geometry import fit_geometry
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered


def _ignore(_done: int, _total: int) -> None:
    pass


def test_the_regions_are_of_all_samples_and_the_network_of_the_others() -> None:
    """Held-out samples train no network; the geometry is over the whole training set."""
    features, labels = blobs(per_class=50)
    fitted = answered(features, labels, mapping_epochs=2, seed=3, coverage_fraction=0.05)
    regions = fit_regions(fitted, _ignore)
    trained_on = ~fitted.held_out
    assert trained_on.sum() == 180
    network = train_mapping(features[trained_on], labels[trained_on], regions.plan)
    np.testing.assert_array_equal(regions.embeddings, embed(network, features))
    geometry = fit_geometry(regions.embeddings, labels, 4, coverage_fraction=0.05)
    assert regions.geometry.digest == geometry.digest
    assert (regions.plan.epochs, regions.plan.seed) == (2, 3)


def test_the_graph_answers_embeddings() -> None:
    """The protectee's file has the mapping network in it."""
    features, labels = blobs()
    regions = fit_regions(answered(features, labels, mapping_epochs=1), _ignore)
    outputs = [output.name for output in onnx.load_from_string(regions.graph).graph.output]
    assert outputs == ["probabilities", "logits", "features", "embeddings"]
    (embeddings,) = GraphSession(regions.graph).run({"x": features}, ["embeddings"])
    np.testing.assert_allclose(embeddings, regions.embeddings, atol=1e-4)


def test_a_sample_is_inside_the_region_of_its_predicted_class() -> None:
    """Distance to that class's cluster center below its sensitive radius."""
    features, labels = blobs()
    fitted = answered(features, labels, mapping_epochs=1)
    regions = fit_regions(fitted, _ignore)
    predicted, geometry = fitted.responses.predicted, regions.geometry
    distances = np.linalg.norm(regions.embeddings - geometry.cluster_centers[predicted], axis=1)
    np.testing.assert_array_equal(regions.inside, distances < geometry.sensitive_radius[predicted])

import numpy as np

from queen.fit.findings.coverage import inside_regions, measure_coverage
from queen.method.geometry import fit_geometry
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from tests.unit.fit.blobs import blobs

NAMES = ["ant", "bee", "cat"]


def test_coverage_counts_the_records_of_the_ledger_step() -> None:
    """The same records and the same cqs as the ledger step with a threshold out of rcoverage."""
    embeddings, labels = blobs(classes=3, per_class=200, width=2)
    geometry = fit_geometry(embeddings, labels, 3, coverage_fraction=0.1)
    predicted = np.where(np.arange(600) % 9 == 0, (labels + 1) % 3, labels)
    coverages = measure_coverage(geometry, embeddings, labels, predicted, NAMES)
    far, none, never = np.full(600, np.inf), np.zeros(3), np.full(3, np.inf)
    step = assess_rows(
        geometry, LedgerRows(embeddings, predicted, predicted), far, LedgerLevels(none, never)
    )
    records = np.bincount(predicted[step.recorded], minlength=3)
    assert [coverage.records for coverage in coverages] == records.tolist()
    for label, coverage in enumerate(coverages):
        expected = step.cqs_after[predicted == label].max()
        np.testing.assert_allclose(coverage.cqs, expected, rtol=1e-9)
        assert (coverage.name, coverage.samples) == (NAMES[label], 200)
        assert coverage.predicted == (predicted == label).sum()


def test_a_class_that_is_never_predicted_has_no_records() -> None:
    """Nothing is divided by its count of zero."""
    embeddings, labels = blobs(classes=3, per_class=20, width=2)
    geometry = fit_geometry(embeddings, labels, 3)
    predicted = np.where(labels == 2, 0, labels)
    never = measure_coverage(geometry, embeddings, labels, predicted, NAMES)[2]
    assert (never.predicted, never.records, never.cqs, never.inside) == (0, 0, 0, 0)


def test_a_point_is_inside_the_region_of_its_predicted_class() -> None:
    """A point at its own center is, a point at another class's is not."""
    embeddings, labels = blobs(classes=3, per_class=50, width=2, spread=0.01)
    geometry = fit_geometry(embeddings, labels, 3)
    centers = geometry.cluster_centers[[0, 1]]
    assert inside_regions(geometry, centers, np.array([0, 2])).tolist() == [True, False]

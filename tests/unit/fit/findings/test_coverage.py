import numpy as np

from queen.fit.findings.coverage import inside_share, measure_coverage
from queen.method.geometry import fit_geometry
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from tests.unit.fit.blobs import blobs

NAMES = ["ant", "bee", "cat"]


def test_coverage_is_what_the_ledgers_would_hold() -> None:
    """The same records and the same cqs as the ledger step with a threshold out of reach."""
    embeddings, labels = blobs(classes=3, each=200, width=2)
    geometry = fit_geometry(embeddings, labels, 3, coverage_fraction=0.1)
    predicted = np.where(np.arange(600) % 9 == 0, (labels + 1) % 3, labels)
    found = measure_coverage(geometry, embeddings, labels, predicted, NAMES)
    far, none, never = np.full(600, np.inf), np.zeros(3), np.full(3, np.inf)
    step = assess_rows(
        geometry, LedgerRows(embeddings, predicted, predicted), far, LedgerLevels(none, never)
    )
    records = np.bincount(predicted[step.recorded], minlength=3)
    assert [each.records for each in found] == records.tolist()
    for label, each in enumerate(found):
        expected = step.cqs_after[predicted == label].max()
        np.testing.assert_allclose(each.cqs, expected, rtol=1e-9)
        assert (each.name, each.samples) == (NAMES[label], 200)
        assert each.predicted == (predicted == label).sum()


def test_a_class_that_is_never_predicted_has_no_records() -> None:
    """Nothing is divided by its count of zero."""
    embeddings, labels = blobs(classes=3, each=20, width=2)
    geometry = fit_geometry(embeddings, labels, 3)
    found = measure_coverage(geometry, embeddings, labels, np.where(labels == 2, 0, labels), NAMES)
    assert (found[2].predicted, found[2].records, found[2].cqs, found[2].inside) == (0, 0, 0, 0)


def test_the_inside_share_counts_the_region_of_the_predicted_class() -> None:
    """Of two points, one at its center and one at another class's, half are inside."""
    embeddings, labels = blobs(classes=3, each=50, width=2, spread=0.01)
    geometry = fit_geometry(embeddings, labels, 3)
    centers = geometry.cluster_centers[[0, 1]]
    assert inside_share(geometry, centers, np.array([0, 2])) == 0.5

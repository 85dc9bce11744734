"""A request of the front door as flagged queries, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
from queen_perturber.decode import read_flagged

from queen.api.v1 import perturber_pb2 as pb
from queen.bundle import Bundle, open_bundle
from queen.errors import (
    BatchTooLarge,
    BundleMismatch,
    InvalidQuery,
    SecretMismatch,
    ShapeMismatch,
)
from tests.bundles import SmallBundle
from tests.unit.perturber.flagged import FINGERPRINT, flagged_of, request_of, small_bundle

ROWS = np.arange(5)
OLD = 7
HELD = (FINGERPRINT, OLD)


def floats(width: int, value: float) -> bytes:
    """Five rows of one value, as they travel."""
    return np.full((5, width), value, "<f4").tobytes()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """The bundle that the requests are made with."""
    return small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def bundle(small: SmallBundle) -> Bundle:
    """The same bundle, opened."""
    return open_bundle(small.path)


def test_every_field_arrives_as_it_was_sent(small: SmallBundle, bundle: Bundle) -> None:
    """The shadow models see the queries as the front door flagged them."""
    sent, got = flagged_of(small, ROWS), read_flagged(request_of(small, ROWS), bundle, 5, HELD)
    assert len(got) == 5
    for name in ("profiles", "shadow_inputs", "probabilities", "embeddings", "sketches"):
        np.testing.assert_array_equal(getattr(got, name), getattr(sent, name))
    assert got.balanced_l1 == pytest.approx(sent.balanced_l1)


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"profiles": b""}, InvalidQuery, "profiles"),
        ({"profiles": bytes([9] * 5)}, InvalidQuery, "profiles"),
        ({"shadow_inputs": b"1234"}, ShapeMismatch, "shadow_inputs"),
        ({"probabilities": floats(4, 0.3)}, InvalidQuery, "probabilities"),
        (
            {"probabilities": floats(4, np.nan)},
            InvalidQuery,
            "probabilities",
        ),
        ({"embeddings": floats(2, np.inf)}, InvalidQuery, "embeddings"),
        ({"sketches": b""}, ShapeMismatch, "sketches"),
        ({"secrets": b"1234"}, ShapeMismatch, "secrets"),
        ({"balanced_l1": 0.0}, InvalidQuery, "balanced_l1"),
        ({"balanced_l1": 2.5}, InvalidQuery, "balanced_l1"),
    ],
)
def test_a_wrong_field_is_named(
    small: SmallBundle,
    bundle: Bundle,
    changes: dict[str, object],
    kind: type[InvalidQuery],
    field: str,
) -> None:
    """The refusal blames the field, so that the front door's log says what is wrong."""
    request = request_of(small, ROWS, **{"profiles": bytes([2] * 5), **changes})
    with pytest.raises(kind) as refusal:
        read_flagged(request, bundle, 5, HELD)
    assert refusal.value.field == field


def test_a_distance_is_only_read_for_balanced_rows(small: SmallBundle, bundle: Bundle) -> None:
    """A request without a row under `balanced` need not give one."""
    profiles = bytes([pb.PROFILE_PAPER] * 5)
    request = request_of(small, ROWS, profiles=profiles, balanced_l1=0.0)
    assert len(read_flagged(request, bundle, 5, HELD)) == 5


def test_more_rows_than_a_call_may_have_are_refused(small: SmallBundle, bundle: Bundle) -> None:
    """The front door splits its batches by this bound."""
    with pytest.raises(BatchTooLarge, match="at most 4 rows, got 5"):
        read_flagged(request_of(small, ROWS), bundle, 4, HELD)


def test_another_bundle_is_refused_before_anything_is_read(
    small: SmallBundle, bundle: Bundle
) -> None:
    """Two services with different bundles never mix answers."""
    with pytest.raises(BundleMismatch, match="got none"):
        read_flagged(pb.ReverseRequest(), bundle, 5, HELD)
    with pytest.raises(BundleMismatch, match="got abc"):
        read_flagged(request_of(small, ROWS, bundle_digest="abc"), bundle, 5, HELD)


def test_a_row_has_the_secret_that_it_names_or_the_current_one(
    small: SmallBundle, bundle: Bundle
) -> None:
    """0 names the current secret, and so does a request without any."""
    named = np.array([OLD, 0, FINGERPRINT, OLD, 0], "<u4").tobytes()
    mixed = read_flagged(request_of(small, ROWS, secrets=named), bundle, 5, HELD)
    assert mixed.secrets.tolist() == [OLD, FINGERPRINT, FINGERPRINT, OLD, FINGERPRINT]
    assert mixed.select(np.array([3, 1])).secrets.tolist() == [OLD, FINGERPRINT]
    plain = read_flagged(request_of(small, ROWS), bundle, 5, HELD)
    assert set(plain.secrets.tolist()) == {FINGERPRINT}


def test_a_secret_that_is_not_held_is_refused(small: SmallBundle, bundle: Bundle) -> None:
    """No row is answered under another secret than its own: one query would get two answers."""
    named = np.array([OLD, 8, OLD, OLD, OLD], "<u4").tobytes()
    with pytest.raises(SecretMismatch, match=f"expected .* {FINGERPRINT} or {OLD}, got 8"):
        read_flagged(request_of(small, ROWS, secrets=named), bundle, 5, HELD)

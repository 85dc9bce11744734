"""From an AssessRequest to queries; the service's test of refusals has every wrong field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.decode import Expected, read_queries

from queen.api.v1 import sensitivity_pb2 as pb
from queen.bundle import Bundle, open_bundle
from queen.errors import BatchTooLarge, BundleMismatch, InvalidQuery
from queen.method.crossing import CAP_OFF, UNSTATED, CrossingPolicy
from queen.method.enforcement import Scope
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose geometry the embeddings are of."""
    return open_bundle(make_bundle(Path(tmp_path_factory.mktemp("bundle")) / "b").path)


OWN = {"breadth": 2, "class_cap": 3, "group_breadth": 4, "group_class_cap": CAP_OFF}


def request_of(bundle: Bundle, **fields: object) -> pb.AssessRequest:
    """Two rows of two accounts; `fields` in place of its own."""
    width = bundle.geometry.embedding_width
    whole = {
        "bundle_digest": bundle.digest,
        "accounts": [
            pb.AccountPolicy(account_id="a"),
            pb.AccountPolicy(account_id="b", budget=7, scope=3, group="us", group_budget=9, **OWN),
        ],
        "account_index": np.array([1, 0], "<u4").tobytes(),
        "labels": np.array([0, 1], "<i4").tobytes(),
        "embeddings": np.arange(2 * width, dtype="<f4").tobytes(),
    }
    return pb.AssessRequest(**(whole | fields))


def test_a_request_becomes_queries(bundle: Bundle) -> None:
    """An account without a scope has the paper's; numbers keep their order."""
    queries = read_queries(request_of(bundle, with_facts=True), Expected.of_bundle(bundle, 10))
    first, second = queries.accounts
    assert (first.account_id, first.scope, first.group) == ("a", Scope.QUERY, "")
    assert first.crossing == first.group_crossing == UNSTATED
    assert (second.crossing, second.scope) == (CrossingPolicy(7, 2, 3), Scope.ACCOUNT)
    assert (second.group, second.is_exempt) == ("us", False)
    assert second.group_crossing == CrossingPolicy(9, 4, CAP_OFF)
    assert queries.account_index.tolist() == [1, 0]
    assert queries.labels.tolist() == [0, 1]
    assert queries.embeddings.shape == (2, bundle.geometry.embedding_width)
    assert queries.with_facts
    assert queries.secrets == ()
    assert not first.is_keyed


def test_the_secrets_keep_their_order(bundle: Bundle) -> None:
    """The first is the current one; an account says whether it needs any."""
    keyed = [pb.AccountPolicy(account_id="a", keyed=True), pb.AccountPolicy(account_id="b")]
    request = request_of(bundle, accounts=keyed, secrets=[9, 2**24 - 1])
    queries = read_queries(request, Expected.of_bundle(bundle, 10))
    assert queries.secrets == (9, 2**24 - 1)
    assert [policy.is_keyed for policy in queries.accounts] == [True, False]


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"bundle_digest": "other"}, BundleMismatch, "expected bundle"),
        ({"labels": b""}, InvalidQuery, "at least 1 row"),
        ({"labels": np.zeros(11, "<i4").tobytes()}, BatchTooLarge, "at most 10 rows"),
        ({"account_index": np.array([0, 2], "<u4").tobytes()}, InvalidQuery, r"0\.\.1, got 2"),
        ({"accounts": [pb.AccountPolicy(account_id="group us")]}, InvalidQuery, "'group '"),
        ({"accounts": 2 * [pb.AccountPolicy(account_id="a")]}, InvalidQuery, "each account once"),
        ({"secrets": [0]}, InvalidQuery, "secrets: expected fingerprints of 1 to 16777215, got 0"),
        ({"secrets": [2**24]}, InvalidQuery, "got 16777216"),
        ({"secrets": [1] * 9}, InvalidQuery, "secrets: expected at most 8, got 9"),
    ],
)
def test_a_wrong_request_is_refused_with_what_was_expected(
    bundle: Bundle, fields: dict[str, object], error: type[Exception], message: str
) -> None:
    """Nothing of it reaches a ledger."""
    with pytest.raises(error, match=message):
        read_queries(request_of(bundle, **fields), Expected.of_bundle(bundle, 10))

"""The secrets that the perturbers agree on."""

from __future__ import annotations

import pytest
import structlog
from queen_inference.metrics import InferenceMetrics
from queen_inference.peers.perturbers import Agreement

from queen.serving.metrics import Metrics

OLD, NEW, OTHER = 11, 22, 33


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of the front door."""
    return Metrics()


@pytest.fixture
def agreement(metrics: Metrics) -> Agreement:
    """An agreement that nobody has told anything yet."""
    own = InferenceMetrics(metrics)
    return Agreement(own.secrets_mixed, own.secrets)


def is_mixed(metrics: Metrics) -> bool:
    """Whether the metric says so."""
    return metrics.registry.get_sample_value("queen_perturber_secrets_mixed") == 1


def test_a_rotation_reaches_the_perturbers_one_by_one(
    agreement: Agreement, metrics: Metrics
) -> None:
    """The new secret counts once all hold it; the old one as long as all do; never none."""
    seen = [
        agreement.hear({"a": first, "b": second})
        for first, second in (
            ([OLD], [OLD]),
            ([NEW, OLD], [OLD]),
            ([NEW, OLD], [NEW, OLD]),
            ([NEW], [NEW, OLD]),
            ([NEW], [NEW]),
        )
    ]
    assert seen == [(OLD,), (OLD,), (NEW, OLD), (NEW,), (NEW,)]
    assert not is_mixed(metrics)
    assert agreement.problem == ""


def test_two_perturbers_with_two_secrets_are_refused(
    agreement: Agreement, metrics: Metrics
) -> None:
    """One line says which holds which and what to do; the metric is 1 until they agree."""
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            assert agreement.hear({"a:1": [OLD], "b:1": [NEW]}) == ()
        assert is_mixed(metrics)
        assert agreement.hear({"a:1": [OLD], "b:1": [OLD]}) == (OLD,)
    assert not is_mixed(metrics)
    (line,) = (line for line in lines if line["log_level"] == "error")
    assert "a:1 holds 11; b:1 holds 22; give all perturbers the same" in line["problem"]


def test_one_address_with_two_perturbers_behind_it_is_found_out(
    agreement: Agreement, metrics: Metrics
) -> None:
    """A secret that gave way at once is not taken back: a query would get a third answer."""
    assert agreement.hear({"a": [OLD]}) == (OLD,)
    assert agreement.hear({"a": [NEW]}) == (NEW,)
    assert agreement.hear({"a": [OLD]}) == ()
    assert "came back after 22: two perturbers behind one address?" in agreement.problem
    assert is_mixed(metrics)
    assert agreement.hear({"a": [NEW]}) == (NEW,)
    assert agreement.hear({"a": [OTHER]}) == (OTHER,)


def test_a_rotation_back_is_no_mixture(agreement: Agreement) -> None:
    """The old secret comes back while the new one is still held."""
    for told in ([OLD], [NEW], [OLD, NEW], [OLD]):
        assert agreement.hear({"a": told}) == tuple(told)


def test_perturbers_that_are_away_say_nothing(agreement: Agreement, metrics: Metrics) -> None:
    """None that serves is no mixture, and what was known before still guards what comes."""
    assert agreement.hear({}) == ()
    assert not is_mixed(metrics)
    assert agreement.hear({"a": [OLD]}) == (OLD,)
    assert agreement.hear({}) == ()
    assert agreement.hear({"a": [NEW]}) == (NEW,)
    assert agreement.hear({"b": [OLD]}) == ()

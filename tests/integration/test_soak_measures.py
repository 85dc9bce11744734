"""Series that `make soak` calls flat, and series that it does not."""

from __future__ import annotations

import numpy as np

from tests.chaos.soak.measures import MEBIBYTE, Series, judge

WARM_UP = 100.0


def series(growth_bytes_a_second: float = 0.0, descriptors_a_minute: float = 0.0) -> Series:
    """A process of 100 MiB over 500 s, noisy, after a warm-up in which it doubles."""
    rng = np.random.default_rng(0)
    made = Series("made")
    for second in range(500):
        noise = rng.normal(scale=0.2 * MEBIBYTE)
        warm = min(1.0, 0.5 + second / 150)
        resident = 100 * MEBIBYTE * warm + growth_bytes_a_second * second + noise
        made.add(second, round(resident), 20 + int(descriptors_a_minute * second / 60), 10)
    return made


def test_a_process_that_is_flat_passes() -> None:
    """Noise and the warm-up are no growth."""
    finding = judge(series(), WARM_UP, 20_000)
    assert not finding.problems
    assert abs(finding.growth_bytes) < MEBIBYTE


def test_a_leak_of_a_few_bytes_a_request_is_found() -> None:
    """150 bytes of each of 40 requests a second: 2.3 MiB in the measured part."""
    finding = judge(series(growth_bytes_a_second=150 * 40), WARM_UP, 16_000)
    assert "grew by" in finding.problems[0]
    assert 120e6 < finding.growth_per_million_requests < 180e6


def test_one_step_is_not_a_trend() -> None:
    """Memory that is allocated once and kept, late in the run, is no leak."""
    stepped = series()
    stepped.resident[450:] = [size + 3 * MEBIBYTE for size in stepped.resident[450:]]
    assert not judge(stepped, WARM_UP, 20_000).problems


def test_descriptors_that_are_never_closed_are_found() -> None:
    """A descriptor a minute is a leak."""
    assert "descriptors" in judge(series(descriptors_a_minute=1), WARM_UP, 20_000).problems[0]

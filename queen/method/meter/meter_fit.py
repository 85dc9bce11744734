"""Fits the off-distribution meter: its tails to honest samples, its limit to simulated accounts.

Shapes: N samples, C classes. The shares p0 and p1 are those of `off_distribution`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from queen.errors import FitError
from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.meter.off_distribution import OffDistributionMeter

TAIL_QUANTILE = 0.99
LOWEST_SHARE = 0.03
"""Least p0: no held-out set tells of smaller shares, and honest traffic drifts."""
_SHARE_FACTOR = 2.5
"""p0 over the measured share: the protectee was trained on the samples that measure it."""
_ODDS = 5.0
"""p1 over p0."""
_FEWEST_INSIDE = 0.1
_SIMULATED = 20_000
_MARKS = (500, 1000, 2000, 5000, 10_000)


def share_steps(expected: float, suspicious: float) -> tuple[float, float]:
    """Log-likelihood steps, rise ln(p1 / p0) and fall ln((1 - p0) / (1 - p1))."""
    if not 0 < expected < suspicious < 1:
        raise FitError(f"expected shares 0 < p0 < p1 < 1, got {expected} and {suspicious}")
    return math.log(suspicious / expected), math.log((1 - expected) / (1 - suspicious))


def tail_distances(
    geometry: Geometry, distances: FloatArray, labels: LabelArray, quantile: float = TAIL_QUANTILE
) -> FloatArray:
    """The `quantile` of d by class, (C,), of `distances` (N,) of honest samples.

    At least the sensitive radius, since queries inside a region are charged there. A class of
    too few samples to have that quantile gets the largest ratio to the radius of all classes.
    Raises FitError for a distance that is not finite.
    """
    radius = geometry.sensitive_radius
    ratios = distances / radius[labels]
    # Without this check its class would silently get the tail of the other classes.
    if not np.isfinite(ratios).all():
        raise FitError("expected finite distances of honest samples, got NaN or infinity")
    enough = math.ceil(1.0 / (1.0 - quantile))
    tails = np.full(geometry.num_classes, np.nan)
    for label in range(geometry.num_classes):
        own = ratios[labels == label]
        if len(own) >= enough:
            tails[label] = np.quantile(own, quantile)
    fallback = np.nanmax(tails) if np.isfinite(tails).any() else max(ratios.max(initial=1.0), 1.0)
    return np.maximum(np.where(np.isfinite(tails), tails, fallback), 1.0) * radius


def fit_meter(
    geometry: Geometry,
    distances: FloatArray,
    labels: LabelArray,
    *,
    volume: int,
    false_flags: float,
    seed: int,
) -> tuple[OffDistributionMeter, dict[int, float]]:
    """A meter that flags at most `false_flags` of honest accounts within `volume` queries.

    `distances` d (N,) and predicted `labels` (N,) are of honest samples that did not train
    the mapping network. p0 is 2.5 times their own share beyond the tail, at least 0.03,
    and p1 is 5 p0. Of the queries before the tail only those inside a region can lower the level,
    so each lowers it by as much more. The limit is found by simulating accounts whose share is p0.
    Also returns the simulated share of flagged accounts by number of queries.
    """
    tails = tail_distances(geometry, distances, labels)
    is_far = distances > tails[labels]
    expected = min(max(LOWEST_SHARE, _SHARE_FACTOR * float(is_far.mean())), 0.15)
    inside = distances < geometry.sensitive_radius[labels]
    # Half of a class lies within its mean distance, about; a set without any inside tells nothing.
    recorded = max(float(inside.sum() / max((~is_far).sum(), 1)), _FEWEST_INSIDE)
    rise, fall = share_steps(expected, _ODDS * expected)
    meter = OffDistributionMeter(tails, rise, fall / recorded, np.finfo(np.float64).max)
    rng = np.random.default_rng(seed)
    peaks = _simulated_peaks(meter, expected, recorded, volume, rng)
    limit = float(np.quantile(peaks[volume], 1.0 - false_flags)) + rise
    rates = {count: float((peak >= limit).mean()) for count, peak in peaks.items()}
    return replace(meter, limit=limit), rates


def _simulated_peaks(
    meter: OffDistributionMeter,
    share: float,
    recorded: float,
    volume: int,
    rng: np.random.Generator,
) -> dict[int, FloatArray]:
    """Highest level of each simulated honest account by number of queries, for a few numbers.

    `share` of the queries is far, and `recorded` of the others become records.
    """
    marks = sorted({volume, *_MARKS})
    level, peak = np.zeros(_SIMULATED), np.zeros(_SIMULATED)
    peaks: dict[int, FloatArray] = {}
    for asked in range(1, marks[-1] + 1):
        draws = rng.random(_SIMULATED)
        is_record = draws >= 1.0 - (1.0 - share) * recorded
        steps = meter.steps(draws < share, is_record, np.ones(_SIMULATED))
        level = np.maximum(level + steps, 0.0)
        np.maximum(peak, level, out=peak)
        if asked in marks:
            peaks[asked] = peak.copy()
    return peaks

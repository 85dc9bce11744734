"""Stage: fit the off-distribution meter to honest samples."""

from __future__ import annotations

import numpy as np

from queen.fit.fitted import Fitted, OffDistribution
from queen.method.meter.meter_fit import fit_meter
from queen.method.sensitivity import center_distances

METER_VOLUME = 10_000
"""Queries within which the stated share of honest accounts may be flagged."""
_FEWEST_HELD_OUT = 500


def fit_off_distribution(fitted: Fitted) -> OffDistribution:
    """Fit the meter to the held-out samples; to all samples if fewer than 500 are held out.

    The samples that g trained on lie nearer to their cluster centers than queries will.
    """
    held, regions, options = fitted.held_out, fitted.regions, fitted.options
    rows = held if held.sum() >= _FEWEST_HELD_OUT else np.ones(len(held), np.bool_)
    labels = fitted.responses.predicted[rows]
    meter, rates = fit_meter(
        regions.geometry,
        center_distances(regions.geometry, regions.embeddings[rows], labels),
        labels,
        volume=METER_VOLUME,
        false_flags=options.false_flags,
        seed=options.seed,
    )
    return OffDistribution(meter, {str(count): rate for count, rate in sorted(rates.items())})

"""The leak as a difference of two readings, with its bound.

Shapes: S secrets, M test rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError

VIEWS = 2
"""Readings of the same rows, with and without a belief; the larger leak is reported."""
_MISSED = 0.05
"""The chance that a leak is above its bound."""


@dataclass(frozen=True)
class Leak:
    """Shares of the labels that decoders read right, and the bound on their difference.

    `read` is of the defense's answers, `from_decoys` of answers that know no protectee; `leak` is
    the difference, and `bound` its upper bound of 95 %.
    """

    read: float
    from_decoys: float
    leak: float
    bound: float


def bound_leak(defended: NDArray[np.bool_], decoys: NDArray[np.bool_]) -> Leak:
    """From rows read right under S secrets, (S, M) each, to the leak and its bound.

    Each deployment is compared with the decoys of the other secrets. Over all deployments each
    decoy counts as often as the deployment of its own secret, so the mean is also that of

        d_s = share read from the deployment of s - share read from the decoy of s

    and what makes a secret easy to read is in both terms and cancels. The bound covers the
    secrets that an operator might draw, the luck of training (no two decoders share a seed), and
    the rows that a thief might send:

        bound = mean d + t sqrt(var_s(d_s) / S + var_m(e_m) / M)

    with e_m the mean over the secrets of the difference in row m, and t Student's quantile of
    S - 1 degrees of freedom at 1 - 0.05 / VIEWS, so that it holds for all views together. The noise
    of the rows is in both variances, so the bound is on the safe side. Raises ConfigError for
    less than 2 secrets or 2 rows.
    """
    from scipy.stats import t as student  # noqa: PLC0415 - slow to import

    secrets, rows = defended.shape
    if min(secrets, rows) < 2:
        raise ConfigError(f"expected at least 2 secrets and 2 rows, got {secrets} and {rows}")
    differences = defended.astype(np.float64) - decoys
    by_secret, by_row = differences.mean(axis=1), differences.mean(axis=0)
    variance = by_secret.var(ddof=1) / secrets + by_row.var(ddof=1) / rows
    quantile = float(student.ppf(1.0 - _MISSED / VIEWS, secrets - 1))
    leak = float(differences.mean())
    return Leak(
        read=float(defended.mean()),
        from_decoys=float(decoys.mean()),
        leak=leak,
        bound=leak + quantile * float(np.sqrt(variance)),
    )

"""Stage: the thresholds of the stated budget; a budget that no region has room for is refused."""

from __future__ import annotations

from queen.errors import ConfigError, FitError
from queen.fit.fitted import Fitted
from queen.fit.options import FitOptions
from queen.method.sensitivity import budget_ceiling, budget_thresholds


def require_reachable_budget(options: FitOptions) -> None:
    """Raise FitError, before the long stages, for a budget too large for any fitted regions."""
    try:
        ceiling = budget_ceiling(options.coverage_fraction, options.embedding_width)
    except ConfigError as error:
        raise FitError(str(error)) from error
    if options.budget > ceiling:
        raise FitError(
            f"expected a budget under {ceiling} records of a class, got {options.budget}: the "
            f"sensitive region is full before (coverage fraction {options.coverage_fraction}); "
            "state a smaller --budget or a smaller --coverage-fraction"
        )


def fit_thresholds(fitted: Fitted) -> list[float]:
    """T_y of the stated budget, (C,); FitError if a region has no room for so many records."""
    regions = fitted.regions
    try:
        thresholds = budget_thresholds(
            regions.geometry, regions.mean_squared_sqs, fitted.options.budget
        )
    except ConfigError as error:
        raise FitError(str(error)) from error
    return [float(threshold) for threshold in thresholds]

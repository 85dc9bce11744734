"""Stage: the thresholds of the stated budget; a budget that no region has room for is refused."""

from __future__ import annotations

from queen.defaults import BREADTH, CLASS_CAP
from queen.errors import ConfigError, FitError
from queen.fit.fitted import Fitted
from queen.fit.options import FitOptions
from queen.method.crossing import CAP_OFF, CrossingPolicy, PolicyThresholds, policy_thresholds
from queen.method.sensitivity import budget_ceiling, largest_budget


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


def fit_policy(fitted: Fitted) -> PolicyThresholds:
    """The stated budget under the breadth and the class cap of an operator who states none.

    The cap is lowered where the regions have no room for it. Raises FitError if a region has no
    room for the budget.
    """
    regions, budget = fitted.regions, fitted.options.budget
    class_cap = CLASS_CAP
    if class_cap != CAP_OFF:
        largest = largest_budget(regions.geometry, regions.mean_squared_sqs)
        class_cap = max(1, min(class_cap, largest // budget))
    try:
        return policy_thresholds(
            regions.geometry,
            regions.mean_squared_sqs,
            CrossingPolicy(budget, BREADTH, class_cap),
        )
    except ConfigError as error:
        raise FitError(str(error)) from error

"""Stage: train the shadow models, as strong as the reversal allows."""

from __future__ import annotations

import math

from queen.fit.findings.report import measure_shadows
from queen.fit.fitted import Fitted, Shadows
from queen.fit.progress import Update
from queen.fit.training.shadows import FEWEST_STEPS, SHADOW_BATCH, ShadowPlan, train_shadows


def fit_shadows(fitted: Fitted, update: Update) -> Shadows:
    """Shadows of the stated strength, or of the greatest that still flips labels enough.

    Without a stated strength they train for one epoch, then for half as many steps, until the
    reversal changes the stated share of the labels or only FEWEST_STEPS are left.
    """
    options = fitted.options
    if options.shadow_steps or options.shadow_epochs:
        return _train(fitted, options.shadow_epochs or 1, options.shadow_steps, update)
    steps = math.ceil(len(fitted.samples.y) / SHADOW_BATCH)
    while True:
        shadows = _train(fitted, 1, steps, update)
        if shadows.figures["flip_rate"] >= options.shadow_flip_rate or steps <= FEWEST_STEPS:
            return shadows
        steps = max(steps // 2, FEWEST_STEPS)


def _train(fitted: Fitted, epochs: int, steps: int | None, update: Update) -> Shadows:
    options, inputs = fitted.options, fitted.shadow_inputs
    plan = ShadowPlan(
        options.shadows_on, options.shadows, epochs, steps, options.seed, options.shadow_rate
    )
    networks = train_shadows(inputs, fitted.samples.y, len(fitted.class_names), plan, update)
    figures = measure_shadows(fitted, plan, networks)
    return Shadows(networks, list(inputs.shape[1:]), figures)

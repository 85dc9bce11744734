"""Warnings about a fit that an operator should read before relying on it."""

from __future__ import annotations

from collections.abc import Sequence

from queen.fit.findings.coverage import ClassCoverage
from queen.fit.outcome import FitReport
from queen.fit.training.shadows import FEWEST_STEPS

_WEAK_FLIPS = 0.9
_SHOWN = 5


def find_warnings(report: FitReport, thresholds: Sequence[float], budget: int) -> list[str]:
    """Warnings about labels, separability, shadows and classes that never reach their threshold."""
    checks = (
        _about_accuracy(report),
        _about_separability(report),
        _about_tightness(report),
        _about_flips(report),
        _about_budget(report.classes, thresholds, budget),
    )
    return [sentence for sentence in checks if sentence]


def _about_accuracy(report: FitReport) -> str:
    accuracy = report.protectee["accuracy"]
    if accuracy >= 0.5:
        return ""
    return (
        f"the protectee agrees with only {accuracy:.1%} of the labels: is y in the order of its "
        "outputs, and is x preprocessed as in training?"
    )


def _about_separability(report: FitReport) -> str:
    separability = report.mapping["separability"]["held_out"]
    if separability >= 0.8 * report.protectee["accuracy"]:
        return ""
    return (
        f"only {separability:.1%} of the samples lie nearest to their own cluster center: regions "
        "overlap; try more --mapping-epochs or --embedding-width 3"
    )


def _about_tightness(report: FitReport) -> str:
    inside = report.mapping["inside"]
    if inside["held_out"] >= 0.7 * inside["training"]:
        return ""
    return (
        f"{inside['training']:.1%} of the samples that trained the mapping network are inside "
        f"their region, but only {inside['held_out']:.1%} of those held out, and real queries are "
        "like the latter: try fewer --mapping-epochs"
    )


def _about_flips(report: FitReport) -> str:
    rate, steps = report.shadows["flip_rate"], report.shadows["steps"]
    if rate >= _WEAK_FLIPS:
        return ""
    remedy = (
        f"train them less, with --shadow-flip-rate {_WEAK_FLIPS} and no fixed steps or epochs"
        if steps > FEWEST_STEPS
        else "the profiles balanced and strict do without them"
    )
    return (
        f"the reversal of the profile paper changes the label of only {rate:.1%} of the answers, "
        f"since the shadows are good after {steps} steps ({report.shadows['accuracy']:.1%}): "
        f"{remedy}"
    )


def _about_budget(classes: list[ClassCoverage], thresholds: Sequence[float], budget: int) -> str:
    short = [
        f"{coverage.name} ({coverage.records} records)"
        for coverage, threshold in zip(classes, thresholds, strict=True)
        if coverage.cqs <= threshold
    ]
    if not short:
        return ""
    more = f" and {len(short) - _SHOWN} more" if len(short) > _SHOWN else ""
    return (
        f"a budget of {budget} records is more than the whole training set uses in "
        f"{len(short)} of {len(classes)} classes: {', '.join(short[:_SHOWN])}{more}; queries like "
        "the training set would never be reversed there"
    )

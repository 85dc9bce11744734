"""The results of `queen fit`: the report that goes into the bundle, and the outcome of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from queen.bundle.manifest import Manifest
from queen.fit.findings.coverage import ClassCoverage
from queen.fit.findings.profile_prices import ProfilePrice

MAP_FILE, REPORT_FILE = "embedding_map.png", "fit.json"
"""Files in the bundle's report folder."""


@dataclass(frozen=True)
class FitReport:
    """The figures of a fit that depend on no budget: `fit` in the manifest."""

    seed: int
    samples: int
    protectee: dict[str, Any]
    mapping: dict[str, Any]
    shadows: dict[str, Any]
    off_distribution: dict[str, Any]
    largest_budget: int
    classes: list[ClassCoverage]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class FitOutcome:
    """A written bundle, with its report and the figures that depend on budget and clock.

    `thresholds` T_y for the options' budget; `honest_volumes` how many queries an honest account
    may ask within it, by its kind of traffic (None: 10,000 and more); `seconds` by step;
    `warnings` are sentences.
    """

    path: Path
    manifest: Manifest
    report: FitReport
    budget: int
    thresholds: list[float]
    honest_volumes: dict[str, int | None]
    prices: list[ProfilePrice]
    seconds: dict[str, float]
    warnings: list[str] = field(default_factory=list)

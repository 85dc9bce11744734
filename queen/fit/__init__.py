"""Offline: from a classifier and its training set to a bundle."""

from queen.fit.fitting import fit_bundle
from queen.fit.options import FitOptions
from queen.fit.outcome import FitOutcome, FitReport

__all__ = ["FitOptions", "FitOutcome", "FitReport", "fit_bundle"]

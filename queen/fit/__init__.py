"""Offline: from a classifier and its training set to a bundle."""

from queen.fit.fitting import fit_bundle
from queen.fit.options import FitOptions
from queen.fit.outcome import FitOutcome

__all__ = ["FitOptions", "FitOutcome", "fit_bundle"]

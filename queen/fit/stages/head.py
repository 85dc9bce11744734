"""Stage: the protectee's last layer, with feature centers and spread."""

from __future__ import annotations

import numpy as np

from queen.errors import FitError
from queen.fit.fitted import Fitted
from queen.method.answers.label_preserving import LinearHead
from queen.method.geometry import fit_feature_centers


def fit_head(fitted: Fitted) -> LinearHead:
    """W and b as they are, F_y over the whole training set, and the spread around them.

    Raises FitError if all samples of a class have the same features.
    """
    protectee, features, labels = fitted.protectee, fitted.responses.features, fitted.samples.y
    centers = fit_feature_centers(features, labels, len(fitted.class_names))
    spread = float(np.linalg.norm(features - centers[labels], axis=1).mean())
    if not spread > 0:
        raise FitError("all samples of a class have the same features: there is nothing to fit")
    weight, bias = protectee.weight.astype(np.float32), protectee.bias.astype(np.float32)
    return LinearHead(weight, bias, centers, spread)

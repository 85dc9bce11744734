"""Stage: the frame in which decoys are drawn, from the training inputs alone."""

from __future__ import annotations

import numpy as np

from queen.fit.fitted import Fitted
from queen.method.answers.decoy import SketchSpace, fit_sketch_space, sketch_inputs

_ROWS = 512
_MOST_CONFIDENT = 0.999


def fit_decoys(fitted: Fitted) -> SketchSpace:
    """Principal axes of the training sketches, and the protectee's confidence.

    The confidence is that on held-out samples if there are any, since a classifier is surer
    of the samples it was trained on.
    """
    inputs, labels, held = fitted.samples.x, fitted.samples.y, fitted.held_out
    rows = held if held.any() else ~held
    largest = fitted.responses.probabilities[rows].max(axis=1)
    confidence = min(float(largest.mean(dtype=np.float64)), _MOST_CONFIDENT)
    parts = [sketch_inputs(inputs[row : row + _ROWS]) for row in range(0, len(inputs), _ROWS)]
    return fit_sketch_space(np.concatenate(parts), labels, len(fitted.class_names), confidence)

"""Stage: open the operator's classifier and training set, and check that they match."""

from __future__ import annotations

from queen.fit.fitted import Fitted
from queen.fit.graph.onnx_file import read_graph
from queen.fit.graph.surgery import open_protectee
from queen.fit.options import FitOptions
from queen.fit.training_set import (
    fit_to_input,
    read_class_names,
    read_training_set,
    require_labels,
)


def open_inputs(options: FitOptions) -> Fitted:
    """The protectee, its training set and its class names; FitError if they do not match."""
    samples = read_training_set(options.data)
    protectee = open_protectee(read_graph(options.model), options.output, options.features)
    source = protectee.input
    samples = fit_to_input(samples, source.name, source.dtype, source.shape)
    names = read_class_names(options.class_names, len(protectee.weight))
    require_labels(samples.y, len(names), names)
    return Fitted(options, protectee, samples, names)

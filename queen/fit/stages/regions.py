"""Stage: train the mapping network, fit the sensitive regions, fuse the network into the graph."""

from __future__ import annotations

from queen.fit.findings.coverage import inside_regions
from queen.fit.fitted import Fitted, Regions
from queen.fit.graph.fuse import fuse_mapping, fused_graph
from queen.fit.progress import Update
from queen.fit.training.mapping import MappingPlan, embed, mapping_weights, train_mapping
from queen.method.geometry import fit_geometry
from queen.method.sensitivity import mean_squared_sensitivity

_CHECKED_ROWS = 256


def fit_regions(fitted: Fitted, update: Update) -> Regions:
    """Train g on all but the held-out samples, then fit the geometry to all of them.

    Edits the protectee's graph: it answers embeddings, too, after that.
    """
    options, labels, features = fitted.options, fitted.samples.y, fitted.responses.features
    plan = MappingPlan(
        options.embedding_width, options.mapping_loss, options.mapping_epochs, options.seed
    )
    trained_on = ~fitted.held_out
    network = train_mapping(features[trained_on], labels[trained_on], plan, update)
    embeddings = embed(network, features)
    geometry = fit_geometry(
        embeddings,
        labels,
        len(fitted.class_names),
        coverage_fraction=options.coverage_fraction,
        class_names=fitted.class_names,
    )
    fuse_mapping(fitted.protectee, mapping_weights(network))
    rows = slice(0, _CHECKED_ROWS)
    return Regions(
        embeddings,
        geometry,
        mean_squared_sensitivity(geometry, embeddings, labels),
        inside_regions(geometry, embeddings, fitted.responses.predicted),
        fused_graph(fitted.protectee, fitted.samples.x[rows], embeddings[rows]),
        plan,
        network.layer_widths,
    )

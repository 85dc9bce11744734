"""`queen fit`, step by step: a model and its training set become a bundle."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from queen import __version__
from queen.bundle import (
    GeometryParameters,
    Manifest,
    ShadowSpec,
    TensorSignature,
    layout,
    write_bundle,
)
from queen.errors import ConfigError, FitError
from queen.fit.advice import find_warnings
from queen.fit.collect import Responses, collect_responses, require_embeddings
from queen.fit.embedding_map import draw_embedding_map
from queen.fit.fuse import fuse_mapping
from queen.fit.mapping_training import MappingPlan, embed, mapping_weights, train_mapping
from queen.fit.measures import (
    held_out_rows,
    measure_mapping,
    measure_protectee,
    measure_shadows,
)
from queen.fit.coverage import measure_coverage
from queen.fit.onnx_file import read_graph
from queen.fit.options import MAP_FILE, REPORT_FILE, FitOptions, FitOutcome, FitReport
from queen.fit.progress import FitProgress
from queen.fit.shadow_training import (
    ShadowPlan,
    choose_architecture,
    shadow_tensors,
    train_shadows,
)
from queen.fit.surgery import Protectee, open_protectee
from queen.fit.training_set import (
    TrainingSet,
    fit_to_input,
    read_class_names,
    read_training_set,
    require_labels,
)
from queen.method.ensemble import ShadowNetwork
from queen.method.geometry import FloatArray, Geometry, fit_feature_centers, fit_geometry
from queen.method.label_preserving import LinearHead
from queen.method.mapping import MappingNetwork
from queen.method.sensitivity import (
    budget_thresholds,
    largest_budget,
    mean_squared_sensitivity,
    packing_limit,
)

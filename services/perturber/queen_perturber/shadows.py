"""Loads the shadow models of a bundle onto a device."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from queen.bundle import Bundle
from queen.errors import BundleCorrupt, ConfigError, QueenError
from queen.method.answers.ensemble import ShadowEnsemble, build_shadow


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to run on; ConfigError for cuda on a machine without one."""
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise ConfigError(
            "expected a CUDA device for device: cuda, got none that Torch can use; "
            "set device to cpu or auto, or install the CUDA build of Torch"
        )
    return torch.device("cuda" if has_cuda and wanted != "cpu" else "cpu")


def load_shadows(bundle: Bundle, device: torch.device) -> ShadowEnsemble:
    """All shadow models of the bundle; BundleCorrupt if a model does not fit its architecture."""
    spec = bundle.manifest.shadows
    shadows = []
    for index in range(spec.count):
        try:
            shadow = build_shadow(spec.architecture, spec.input_shape, bundle.manifest.num_classes)
            tensors = bundle.shadow(index)
            shadow.load_state_dict(
                {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
            )
        except (RuntimeError, TypeError, QueenError) as error:
            raise BundleCorrupt(
                f"shadow {index} does not fit its architecture {spec.architecture}; refit"
            ) from error
        shadows.append(shadow)
    return ShadowEnsemble(shadows, device)

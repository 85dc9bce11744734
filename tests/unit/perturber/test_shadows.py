"""Shadow models, as they are loaded from a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from queen_perturber.shadows import choose_device, load_shadows

from queen.bundle import open_bundle
from queen.errors import BundleCorrupt, ConfigError
from tests.unit.perturber.flagged import small_bundle


def test_every_shadow_of_the_bundle_is_loaded(tmp_path: Path) -> None:
    """No shadow is dropped at load, and drawing all n of n works."""
    small = small_bundle(tmp_path)
    bundle = open_bundle(small.path)
    assert load_shadows(bundle, torch.device("cpu")).count == bundle.manifest.shadows.count == 5


def test_shadows_that_do_not_fit_are_a_corrupt_bundle(tmp_path: Path) -> None:
    """Tensors of another shape are refused by name, not run."""
    small = small_bundle(tmp_path)
    bundle = open_bundle(small.path)
    spec = bundle.manifest.shadows.model_copy(update={"input_shape": [7]})
    manifest = bundle.manifest.model_copy(update={"shadows": spec})
    with pytest.raises(BundleCorrupt, match="shadow 0 does not fit"):
        load_shadows(type(bundle)(bundle.path, manifest), torch.device("cpu"))


def test_cuda_without_a_gpu_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who asks for a GPU by name is told when there is none; auto goes on."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="expected a CUDA device"):
        choose_device("cuda")
    assert choose_device("auto") == torch.device("cpu")

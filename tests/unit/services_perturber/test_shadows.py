"""Answers to flagged queries: keyed, deterministic, within their contract."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from queen.bundle import open_bundle
from queen.errors import BundleCorrupt, ConfigError
from queen.method.contracts import Profile, check_answers
from queen.method.ensemble import ShadowEnsemble
from services.perturber.secret import read_secret
from services.perturber.shadows import Reversal, choose_device, load_shadows
from tests.bundles import SmallBundle
from tests.unit.services_perturber.flagged import (
    SECRET,
    flagged_of,
    open_small,
    random_shadow,
    reversal_of,
    small_bundle,
    take,
)

ALL = np.arange(400)


@pytest.fixture(scope="module", params=["features", "inputs"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallBundle, Reversal]:
    """A bundle with its answers, for shadows on features and on inputs."""
    return open_small(tmp_path_factory.mktemp("bundle"), request.param)


def test_a_rows_answer_is_the_same_bits_in_every_batch(
    opened: tuple[SmallBundle, Reversal],
) -> None:
    """Batch sizes 1 to 70, random neighbours, positions and repeats: not one bit differs."""
    small, reversal = opened
    flagged = flagged_of(small, ALL)
    expected = reversal.answer(flagged)
    rng = np.random.default_rng(0)
    for size in range(1, 71):
        rows = rng.integers(0, 400, size)
        rows[rng.integers(0, size)] = 7
        answers = reversal.answer(take(flagged, rows))
        assert answers.tobytes() == expected[rows].tobytes()


@pytest.mark.parametrize(
    ("architecture", "shape"), [("mlp", (30,)), ("cnn", (9, 9)), ("resnet", (3, 8, 8))]
)
def test_deep_shadows_are_as_deterministic(
    opened: tuple[SmallBundle, Reversal], architecture: str, shape: tuple[int, ...]
) -> None:
    """Hidden layers and convolutions over batches of every size give the same bits, too."""
    small, _ = opened
    shadows = [cast("nn.Module", random_shadow(architecture, shape, 4, seed)) for seed in range(5)]
    reversal = Reversal(open_bundle(small.path), ShadowEnsemble(shadows), SECRET)
    flagged = flagged_of(small, np.arange(70))
    inputs = np.random.default_rng(1).normal(size=(70, *shape)).astype(np.float32)
    flagged = type(flagged)(flagged.profiles, inputs, flagged.probabilities, flagged.embeddings)
    expected = reversal.answer(flagged)
    for size in (1, 2, 3, 5, 8, 13, 31, 32, 33, 64):
        rows = np.random.default_rng(size).permutation(70)[:size]
        assert reversal.answer(take(flagged, rows)).tobytes() == expected[rows].tobytes()


def test_sixty_four_times_the_same_query_is_one_answer(
    opened: tuple[SmallBundle, Reversal],
) -> None:
    """Neither repeats in one batch nor a new process tell that the answer was reversed."""
    small, reversal = opened
    flagged = flagged_of(small, np.full(64, 11))
    answers = {row.tobytes() for row in reversal.answer(flagged)}
    reopened = reversal_of(open_bundle(small.path))
    answers.add(reopened.answer(take(flagged, np.arange(1)))[0].tobytes())
    assert len(answers) == 1


def test_answers_hold_their_contracts_and_the_paper_flips_labels(
    opened: tuple[SmallBundle, Reversal],
) -> None:
    """Each row is within its own profile's contract, mixed as they are."""
    small, reversal = opened
    flagged = flagged_of(small, ALL)
    answers = reversal.answer(flagged)
    assert answers.dtype == np.float32
    safe = flagged.profiles
    check_answers(Profile.PAPER, answers[~safe], flagged.probabilities[~safe])
    check_answers(Profile.SAFE, answers[safe], flagged.probabilities[safe])
    flipped = answers.argmax(axis=1) != flagged.probabilities.argmax(axis=1)
    assert flipped[~safe].mean() > 0.3
    assert not flipped[safe].any()


def test_the_secret_keys_the_draw(tmp_path: Path) -> None:
    """Another secret draws other shadows: the answers cannot be computed without it."""
    small, reversal = open_small(tmp_path)
    other = reversal_of(open_bundle(small.path), b"another secret of 32 bytes......")
    flagged = flagged_of(small, ALL)
    differs = (reversal.answer(flagged) != other.answer(flagged)).any(axis=1)
    assert differs.mean() > 0.5


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


@pytest.mark.parametrize("size", [0, 15])
def test_a_short_secret_is_refused_with_the_way_to_make_one(tmp_path: Path, size: int) -> None:
    """The sentence says how long, how many there are and what to run, not what they are."""
    file = tmp_path / "secret"
    file.write_bytes(b"hunter2hunter2xx"[:size])
    with pytest.raises(ConfigError, match=f"at least 16 bytes, got {size}; make one with") as error:
        read_secret(file)
    assert "hunter" not in str(error.value)


def test_a_missing_secret_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(ConfigError, match=r"cannot read secret file .*missing.*make one with"):
        read_secret(tmp_path / "missing")


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits_whatever_the_batch(tmp_path: Path) -> None:
    """On CUDA, too, a row's answer does not depend on its neighbours."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    small = small_bundle(tmp_path)
    bundle = open_bundle(small.path)
    reversal = Reversal(bundle, load_shadows(bundle, choose_device("cuda")), SECRET)
    flagged = flagged_of(small, ALL)
    expected = reversal.answer(flagged)
    for size in (1, 2, 31, 64):
        rows = np.random.default_rng(size).integers(0, 400, size)
        assert reversal.answer(take(flagged, rows)).tobytes() == expected[rows].tobytes()

"""Answers to flagged queries: keyed, deterministic, within their contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from queen_perturber.reversal import Reversal, Reversals
from queen_perturber.secret import Secrets
from queen_perturber.shadows import choose_device, load_shadows
from queen_perturber.wiring import make_reversal
from torch import nn

from queen.api.v1 import perturber_pb2 as pb
from queen.bundle import open_bundle
from queen.errors import SecretMismatch
from queen.method.answers.ensemble import ShadowEnsemble
from queen.method.answers.fingerprint import fingerprint_of
from queen.method.answers.misdirection import keyed_name, partner_classes
from queen.method.contracts import check_answers
from queen.wire import PROFILES
from tests.bundles import SmallBundle
from tests.unit.perturber.flagged import (
    SECRET,
    flagged_of,
    open_small,
    random_shadow,
    reversal_of,
    small_bundle,
    under,
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
    """Batch sizes 1 to 70, random neighbors, positions and repeats: not one bit differs."""
    small, reversal = opened
    flagged = flagged_of(small, ALL)
    expected = reversal.answer(flagged)
    rng = np.random.default_rng(0)
    for size in range(1, 71):
        rows = rng.integers(0, 400, size)
        rows[rng.integers(0, size)] = 7
        answers = reversal.answer(flagged.select(rows))
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
    reversal = make_reversal(open_bundle(small.path), ShadowEnsemble(shadows), SECRET)
    flagged = flagged_of(small, np.arange(70))
    inputs = np.random.default_rng(1).normal(size=(70, *shape)).astype(np.float32)
    flagged = under(replace(flagged, shadow_inputs=inputs), pb.PROFILE_PAPER)
    expected = reversal.answer(flagged)
    for size in (1, 2, 3, 5, 8, 13, 31, 32, 33, 64):
        rows = np.random.default_rng(size).permutation(70)[:size]
        assert reversal.answer(flagged.select(rows)).tobytes() == expected[rows].tobytes()


@pytest.mark.parametrize("profile", list(PROFILES))
def test_sixty_four_times_the_same_query_is_one_answer(
    opened: tuple[SmallBundle, Reversal], profile: int
) -> None:
    """Neither repeats in one batch nor a new process tell that the answer was reversed."""
    small, reversal = opened
    flagged = under(flagged_of(small, np.full(64, 11)), profile)
    answers = {row.tobytes() for row in reversal.answer(flagged)}
    reopened = reversal_of(open_bundle(small.path))
    answers.add(reopened.answer(flagged.select(np.arange(1)))[0].tobytes())
    assert len(answers) == 1


def test_answers_hold_their_contracts_and_labels_flip(
    opened: tuple[SmallBundle, Reversal],
) -> None:
    """Every row is within the contract of its own profile, in a batch of all profiles."""
    small, reversal = opened
    flagged = flagged_of(small, ALL)
    answers = reversal.answer(flagged)
    assert answers.dtype == np.float32
    assert set(flagged.profiles.tolist()) == set(PROFILES)
    flipped = answers.argmax(axis=1) != flagged.probabilities.argmax(axis=1)
    for code, profile in PROFILES.items():
        rows = flagged.profiles == code
        check_answers(profile, answers[rows], flagged.probabilities[rows])
        assert flipped[rows].mean() > 0.3


def test_no_answer_holds_an_exact_zero(opened: tuple[SmallBundle, Reversal]) -> None:
    """A softmax practically never does, so that a zero would name the verdict."""
    small, reversal = opened
    assert (reversal.answer(flagged_of(small, ALL)) > 0).all()


def test_shadows_that_are_sure_leave_no_exact_zero(opened: tuple[SmallBundle, Reversal]) -> None:
    """The tail of a `paper` answer stays above 0 and keeps its shape, however small it is."""
    small, _ = opened
    bundle = open_bundle(small.path)
    ensemble = load_shadows(bundle, choose_device("cpu"))
    sharp = make_reversal(bundle, _SharpEnsemble(ensemble), SECRET)
    flagged = under(flagged_of(small, ALL), pb.PROFILE_PAPER)
    answers = sharp.answer(flagged)
    assert (answers > 0).all()
    tiny = answers[answers < 1e-9]
    assert len(tiny) > 20
    assert len(np.unique(tiny)) > 0.9 * len(tiny)
    for size in (1, 2, 3, 31, 64):
        rows = np.random.default_rng(size).permutation(400)[:size]
        assert sharp.answer(flagged.select(rows)).tobytes() == answers[rows].tobytes()


class _SharpEnsemble(ShadowEnsemble):
    """Shadows of which the mean is as confident as that of long training."""

    def __init__(self, plain: ShadowEnsemble) -> None:
        self._plain = plain

    def mean_probabilities(self, inputs: torch.Tensor, members: np.ndarray) -> torch.Tensor:
        """The mean, to the sixth power."""
        mean = self._plain.mean_probabilities(inputs, members) ** 6
        return mean / mean.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("l1", [0.05, 0.5, 1.0, 1.2, 2.0])
def test_balanced_goes_as_far_as_it_may(opened: tuple[SmallBundle, Reversal], l1: float) -> None:
    """No answer is farther than the bound, and those with more to exchange are at it."""
    small, reversal = opened
    flagged = under(flagged_of(small, ALL), pb.PROFILE_BALANCED, l1)
    answers = reversal.answer(flagged).astype(np.float64)
    moved = np.abs(answers - flagged.probabilities).sum(axis=1)
    own = flagged.probabilities.astype(np.float64)
    partners = partner_classes(keyed_name(SECRET, small.manifest.digest), own.shape[1])
    rows, labels = np.arange(len(own)), own.argmax(axis=1)
    wanted = 2.0 * (own[rows, labels] - own[rows, partners[labels]])
    assert (moved <= l1).all()
    assert np.allclose(moved, np.minimum(wanted, l1), atol=2e-4)


def test_a_decoy_does_not_see_what_the_protectee_computed(
    opened: tuple[SmallBundle, Reversal],
) -> None:
    """Other probabilities, features and embeddings change no bit of a `strict` answer."""
    small, reversal = opened
    flagged = under(flagged_of(small, ALL), pb.PROFILE_STRICT)
    other = flagged_of(small, ALL[::-1])
    swapped = replace(
        flagged,
        probabilities=other.probabilities,
        shadow_inputs=other.shadow_inputs,
        embeddings=other.embeddings,
    )
    assert reversal.answer(swapped).tobytes() == reversal.answer(flagged).tobytes()


@pytest.mark.parametrize("profile", list(PROFILES))
def test_replicas_with_one_secret_agree_and_another_secret_differs(
    tmp_path: Path, profile: int
) -> None:
    """The answers cannot be computed without the secret, and nothing but it keys them."""
    small, reversal = open_small(tmp_path)
    flagged = under(flagged_of(small, ALL), profile)
    answers = reversal.answer(flagged)
    replica = reversal_of(open_bundle(small.path))
    assert replica.answer(flagged).tobytes() == answers.tobytes()
    other = reversal_of(open_bundle(small.path), b"another secret of 32 bytes......")
    assert (answers != other.answer(flagged)).any(axis=1).mean() > 0.5


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits_whatever_the_batch(tmp_path: Path) -> None:
    """On CUDA, too, a row's answer does not depend on its neighbors."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    small = small_bundle(tmp_path)
    bundle = open_bundle(small.path)
    reversal = make_reversal(bundle, load_shadows(bundle, choose_device("cuda")), SECRET)
    flagged = flagged_of(small, ALL)
    expected = reversal.answer(flagged)
    for size in (1, 2, 31, 64):
        rows = np.random.default_rng(size).integers(0, 400, size)
        assert reversal.answer(flagged.select(rows)).tobytes() == expected[rows].tobytes()


def test_each_row_is_answered_under_its_own_secret(tmp_path: Path) -> None:
    """In one batch, with the bits that it has alone; a secret that comes later is made then."""
    small = small_bundle(tmp_path)
    bundle, newer = open_bundle(small.path), b"a secret that comes later"
    held = [Secrets(SECRET)]
    reversals = Reversals(lambda key: reversal_of(bundle, key), lambda: held[0])
    flagged, (old, new) = flagged_of(small, ALL), map(fingerprint_of, (SECRET, newer))
    by_old, by_new = reversal_of(bundle).answer(flagged), reversal_of(bundle, newer).answer(flagged)
    assert reversals.answer(flagged).tobytes() == by_old.tobytes()
    held[0] = Secrets(newer, SECRET)
    is_new = np.random.default_rng(0).random(len(ALL)) < 0.5
    mixed = replace(flagged, secrets=np.where(is_new, new, old).astype(np.uint32))
    answers = reversals.answer(mixed)
    assert answers.tobytes() == np.where(is_new[:, None], by_new, by_old).tobytes()
    assert (by_new != by_old).any(axis=1).mean() > 0.5
    unknown = replace(flagged, secrets=np.full(len(ALL), 5, np.uint32))
    with pytest.raises(SecretMismatch, match="has just retired"):
        reversals.answer(unknown)

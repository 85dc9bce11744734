"""Bundles and flagged queries for the tests of the perturber."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from queen_perturber.reversal import Flagged, Reversal
from queen_perturber.shadows import choose_device, load_shadows
from queen_perturber.wiring import make_reversal

from queen.api.v1 import perturber_pb2 as pb
from queen.bundle import Bundle, open_bundle
from queen.method.answers.decoy import sketch_inputs
from queen.method.answers.ensemble import build_shadow
from queen.method.answers.fingerprint import fingerprint_of
from queen.method.contracts import BALANCED_L1
from queen.wire import PROFILES
from tests.bundles import SmallBundle, SmallShadows, make_bundle

SECRET = bytes(range(32))
FINGERPRINT = fingerprint_of(SECRET)


def small_bundle(folder: Path, shadows_on: str = "features") -> SmallBundle:
    """A bundle of four classes with five linear shadows, of which three are drawn."""
    shadows = SmallShadows(on=shadows_on, count=5, drawn=3)
    return make_bundle(folder / f"bundle-{shadows_on}", shadows=shadows)


def flagged_of(small: SmallBundle, rows: np.ndarray, seed: int = 0) -> Flagged:
    """Flagged queries that are some of the training samples, under all profiles in turn.

    All samples are computed before rows are selected: the same query must have the same bits.
    """
    inputs = small.inputs
    logits = small.model.logits(inputs).astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    on_features = small.manifest.shadows.on == "features"
    flagged = Flagged(
        profiles=np.random.default_rng(seed).choice(list(PROFILES), len(inputs)).astype(np.uint8),
        shadow_inputs=small.model.features(inputs) if on_features else inputs,
        probabilities=(shares / shares.sum(axis=1, keepdims=True)).astype(np.float32),
        embeddings=small.model.embeddings(inputs),
        sketches=sketch_inputs(inputs).astype(np.float32),
        balanced_l1=BALANCED_L1,
        secrets=np.full(len(inputs), FINGERPRINT, np.uint32),
    )
    return flagged.select(rows)


def request_of(small: SmallBundle, rows: np.ndarray, **changes: object) -> pb.ReverseRequest:
    """Some training samples as flagged queries."""
    flagged = flagged_of(small, rows)
    fields: dict[str, object] = {
        "bundle_digest": small.manifest.digest,
        "profiles": flagged.profiles.tobytes(),
        "shadow_inputs": flagged.shadow_inputs.astype("<f4").tobytes(),
        "probabilities": flagged.probabilities.tobytes(),
        "embeddings": flagged.embeddings.astype("<f4").tobytes(),
        "sketches": flagged.sketches.astype("<f4").tobytes(),
        "balanced_l1": flagged.balanced_l1,
    }
    return pb.ReverseRequest(**{**fields, **changes})  # type: ignore[arg-type]


def under(flagged: Flagged, profile: int, balanced_l1: float = BALANCED_L1) -> Flagged:
    """The same queries, all under one profile, by its number on the wire."""
    profiles = np.full(len(flagged), profile, np.uint8)
    return replace(flagged, profiles=profiles, balanced_l1=balanced_l1)


def reversal_of(bundle: Bundle, secret: bytes = SECRET) -> Reversal:
    """The answers of a bundle, on the CPU."""
    torch.set_num_threads(1)
    return make_reversal(bundle, load_shadows(bundle, choose_device("cpu")), secret)


def open_small(folder: Path, shadows_on: str = "features") -> tuple[SmallBundle, Reversal]:
    """A bundle and its answers."""
    small = small_bundle(folder, shadows_on)
    return small, reversal_of(open_bundle(small.path))


def random_shadow(architecture: str, shape: tuple[int, ...], classes: int, seed: int) -> object:
    """An untrained shadow with a seed of its own."""
    torch.manual_seed(seed)
    return build_shadow(architecture, shape, classes)

"""The shadow models of a bundle, loaded, and the answers they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.errors import BundleCorrupt, ConfigError, QueenError
from queen.method.contracts import Profile, check_answers
from queen.method.decoy import make_decoy
from queen.method.ensemble import ShadowDraw, ShadowEnsemble, build_shadow
from queen.method.misdirection import balanced_answer, keyed_name, partner_classes
from queen.method.profiles import paper_answer
from queen.wire import PROFILES

SingleArray = NDArray[np.float32]

_GRID = 2.0**20
"""Shadow means are rounded to so many steps below a power of 2: see `Reversal.answer`."""


@dataclass(frozen=True, eq=False)
class Flagged:
    """B queries with verdict REVERSE."""

    profiles: NDArray[np.uint8]
    """(B,) keys of `queen.wire.PROFILES`."""
    shadow_inputs: SingleArray
    """(B, ...) what the shadows read: protectee inputs or features."""
    probabilities: SingleArray
    """(B, C) the protectee's own answers."""
    embeddings: SingleArray
    """(B, E)."""
    sketches: SingleArray
    """(B, S)."""
    balanced_l1: float
    """Largest L1 distance of an answer under `balanced`."""

    def __len__(self) -> int:
        return len(self.probabilities)

    def take(self, rows: NDArray[np.int64]) -> Flagged:
        """Some of the queries."""
        return Flagged(
            self.profiles[rows],
            self.shadow_inputs[rows],
            self.probabilities[rows],
            self.embeddings[rows],
            self.sketches[rows],
            self.balanced_l1,
        )


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
    """All shadow models of the bundle; BundleCorrupt if one does not fit its architecture."""
    spec = bundle.manifest.shadows
    shadows = []
    for number in range(spec.count):
        try:
            shadow = build_shadow(spec.architecture, spec.input_shape, bundle.manifest.num_classes)
            tensors = bundle.shadow(number)
            shadow.load_state_dict(
                {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
            )
        except (RuntimeError, TypeError, QueenError) as error:
            raise BundleCorrupt(
                f"shadow {number} does not fit its architecture {spec.architecture}; refit"
            ) from error
        shadows.append(shadow)
    return ShadowEnsemble(shadows, device)


class Reversal:
    """Answers to flagged queries, keyed and deterministic."""

    def __init__(self, bundle: Bundle, ensemble: ShadowEnsemble, secret: bytes) -> None:
        spec = bundle.manifest.shadows
        self._ensemble = ensemble
        self._draw = ShadowDraw(secret, bundle.digest, bundle.geometry, spec.count, spec.drawn)
        self._decoy = make_decoy(secret, bundle.digest, bundle.sketch_space)
        self._partners = partner_classes(
            keyed_name(secret, bundle.digest), bundle.manifest.num_classes
        )
        self._answers = {
            Profile.PAPER: self._paper,
            Profile.BALANCED: self._balanced,
            Profile.STRICT: self._strict,
        }

    def answer(self, flagged: Flagged) -> SingleArray:
        """An answer for every row, (B, C) float32, each within its profile's contract.

        The same row gets the same bits whatever else is in the batch. Matrix products
        depend on the batch's size in their last bits, so all of it is computed in float64
        and q, before anything is derived from it, is rounded relative to its size, to a grid
        that is coarse beside those bits (2^-20 beside 2^-52) and fine beside any answer. The
        least q stays above 0: in an answer, an exact zero would name the verdict.
        Raises ContractViolated rather than return an answer that breaks its contract.
        """
        answers = np.empty(flagged.probabilities.shape, np.float32)
        for code, profile in PROFILES.items():
            rows = np.flatnonzero(flagged.profiles == code)
            if len(rows):
                part = flagged.take(rows)
                answers[rows] = self._answers[profile](part)
                l1 = flagged.balanced_l1
                check_answers(profile, answers[rows], part.probabilities, balanced_l1=l1)
        return answers

    def _paper(self, flagged: Flagged) -> SingleArray:
        p = torch.from_numpy(flagged.probabilities.astype(np.float64))
        return paper_answer(p, self._shadow_mean(flagged)).numpy().astype(np.float32)

    def _balanced(self, flagged: Flagged) -> SingleArray:
        return balanced_answer(flagged.probabilities, self._partners, flagged.balanced_l1)

    def _strict(self, flagged: Flagged) -> SingleArray:
        return self._decoy.answers(flagged.sketches)

    def _shadow_mean(self, flagged: Flagged) -> torch.Tensor:
        """q (B, C) float64 on the CPU: the answers are small, and elementwise."""
        labels = flagged.probabilities.argmax(axis=1)
        members = self._draw.members(flagged.embeddings, labels)
        # A copy: tensors over the request's own bytes would be read-only.
        inputs = torch.from_numpy(flagged.shadow_inputs.copy())
        mean = self._ensemble.mean_probabilities(inputs, members)
        mantissa, exponent = torch.frexp(mean.cpu())
        return torch.ldexp((mantissa * _GRID).round() / _GRID, exponent)

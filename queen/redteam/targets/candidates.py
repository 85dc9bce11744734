"""Answers that were considered for the profiles, to be compared at equal honest utility.

All of them get the verdicts of the same ledgers under the same budget and differ in what
a spent budget reaches (`Scope`) and in what is answered then. `paper`, `safe` and `strict`
are the ones that were chosen. Shapes: Q queries, C classes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from queen_sensitivity.engine.book import AccountPolicy, LedgerBook, Queries
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.ledgers.thresholds import Thresholds

from queen.bundle import Bundle
from queen.method.decoy import SketchSpace, fit_sketch_space, make_decoy, sketch_inputs
from queen.method.ensemble import ShadowEnsemble, build_shadow
from queen.method.gradient_reverse import gradient_reverse
from queen.method.label_preserving import preserve_label
from queen.method.ledger import Scope, Verdict
from queen.method.misdirection import lift_label, partner_classes, safe_answer
from queen.redteam.datasets import Images
from queen.redteam.defenses.grad2 import own_gradient_reversed, redirect
from queen.redteam.targets.base import Answers
from queen.redteam.targets.protectee import CachedProtectee, Seen
from queen.redteam.targets.traffic import Exchange, Traffic

_CELL = 0.5
"""Side of a cell of the keyed swap, in sensitive radii."""
_CHUNK = 1024

AnswerReversed = Callable[[Images, Seen], Answers]


@dataclass(frozen=True)
class Candidate:
    """`prepare` makes what answers reversed queries, from a bundle and a secret."""

    name: str
    summary: str
    scope: Scope
    prepare: Callable[[Bundle, bytes], AnswerReversed]


class CandidateTarget:
    """Ledgers of the services under one candidate; `traffic` is the evaluator's record."""

    def __init__(
        self, candidate: Candidate, protectee: CachedProtectee, bundle: Bundle, budget: int
    ) -> None:
        self._candidate = candidate
        self._protectee = protectee
        self._bundle = bundle
        secret = hashlib.sha256(b"candidate").digest()
        self._answer = candidate.prepare(bundle, secret)
        self._book = LedgerBook(
            bundle.geometry,
            Thresholds(bundle.geometry, bundle.mean_squared_sqs, budget),
            MemoryLedgerStore(),
            cached_accounts=10_000,
            meter=bundle.meter,
        )
        self.traffic = Traffic()

    @property
    def num_classes(self) -> int:
        """C."""
        return self._bundle.manifest.num_classes

    def open_account(self, name: str) -> _CandidateAccount:
        """An account with a ledger of its own."""
        return _CandidateAccount(self, name)

    def answer(self, name: str, queries: Images) -> Answers:
        """Answers (Q, C), noted in `traffic`."""
        seen = self._protectee.run(queries)
        policy = AccountPolicy(name, 0, self._candidate.scope)
        labels = seen.logits.argmax(axis=1)
        index = np.zeros(len(queries), np.int64)
        step = self._book.assess(Queries([policy], index, labels, seen.embeddings))
        is_reversed = step.verdicts == Verdict.REVERSE
        answers = preserve_label(self._bundle.head, seen.logits, seen.features)
        if is_reversed.any():
            answers[is_reversed] = self._answer(queries[is_reversed], seen.take(is_reversed))
        self.traffic.exchanges.append(Exchange(name, answers, seen.probabilities, is_reversed))
        return answers


class _CandidateAccount:
    def __init__(self, target: CandidateTarget, name: str) -> None:
        self._target = target
        self._name = name

    def ask(self, queries: Images) -> Answers:
        parts = [
            self._target.answer(self._name, queries[start : start + _CHUNK])
            for start in range(0, len(queries), _CHUNK)
        ]
        return np.concatenate([np.empty((0, self._target.num_classes), np.float32), *parts])


def _reversal(bundle: Bundle, _secret: bytes) -> AnswerReversed:
    """The gradient reverse against the mean of all shadows."""
    mean = _shadow_mean(bundle)

    def answer(inputs: Images, seen: Seen) -> Answers:
        p = torch.from_numpy(seen.probabilities.astype(np.float64))
        return gradient_reverse(p, mean(inputs, seen)).numpy().astype(np.float32)

    return answer


def _reversal_keeping_label(bundle: Bundle, _secret: bytes) -> AnswerReversed:
    """The gradient reverse, projected on the answers that keep the label within L1 1."""
    mean = _shadow_mean(bundle)

    def answer(inputs: Images, seen: Seen) -> Answers:
        p = seen.probabilities.astype(np.float64)
        turned = gradient_reverse(torch.from_numpy(p), mean(inputs, seen)).numpy()
        end = lift_label(turned, p.argmax(axis=1), 0.0101)
        share = np.minimum(1.0, 0.999 / np.maximum(np.abs(end - p).sum(axis=1), 1e-12))
        drawn: Answers = (p + share[:, None] * (end - p)).astype(np.float32)
        return drawn

    return answer


def _second_mass(bundle: Bundle, _secret: bytes) -> AnswerReversed:
    """The label shares the answer with its partner: `safe`, but only once it is due."""
    partners = partner_classes(bundle.digest, bundle.manifest.num_classes)
    return lambda _inputs, seen: safe_answer(
        seen.probabilities, seen.probabilities.argmax(axis=1), partners
    )


def _local_swap(bundle: Bundle, secret: bytes) -> AnswerReversed:
    """A wrong class, keyed by the class and a cell of the embedding, with p's numbers."""
    geometry = bundle.geometry

    def answer(_inputs: Images, seen: Seen) -> Answers:
        labels = seen.probabilities.argmax(axis=1)
        offset = seen.embeddings - geometry.cluster_centers[labels]
        side = _CELL * geometry.sensitive_radius[labels][:, None]
        cells = np.floor(offset / side).astype("<i8")
        wrong = [
            (label + 1 + _keyed(secret, label, cell.tobytes()) % (geometry.num_classes - 1))
            % geometry.num_classes
            for label, cell in zip(labels.tolist(), cells, strict=True)
        ]
        return _swapped(seen.probabilities, labels, np.array(wrong))

    return answer


def _permutation(bundle: Bundle, _secret: bytes) -> AnswerReversed:
    """One wrong class for each class."""
    partners = partner_classes(bundle.digest, bundle.manifest.num_classes)

    def answer(_inputs: Images, seen: Seen) -> Answers:
        labels = seen.probabilities.argmax(axis=1)
        return _swapped(seen.probabilities, labels, partners[labels])

    return answer


def _input_decoy(bundle: Bundle, secret: bytes) -> AnswerReversed:
    """`strict`: a decoy over a sketch of the input."""
    decoy = make_decoy(secret, bundle.digest, bundle.sketch_space)
    return lambda inputs, _seen: decoy.answers(sketch_inputs(inputs))


def _feature_decoy(bundle: Bundle, secret: bytes) -> AnswerReversed:
    """The same decoy, but over the protectee's features."""
    # Feature centers stand for the distribution of the features.
    rng = np.random.default_rng(0)
    centers = bundle.head.wide_centers
    labels = np.arange(4096) % len(centers)
    spread = bundle.head.spread / np.sqrt(centers.shape[1])
    features = centers[labels] + spread * rng.normal(size=(len(labels), centers.shape[1]))
    confidence = bundle.manifest.decoy.confidence
    space: SketchSpace = fit_sketch_space(features, labels, len(centers), confidence)
    decoy = make_decoy(secret, bundle.digest, space)
    return lambda _inputs, seen: decoy.answers(seen.features.astype(np.float64))


def _redirection(l1: float) -> Callable[[Bundle, bytes], AnswerReversed]:
    """Gradient redirection in the shadows' parameters, within an L1 distance."""

    def prepare(bundle: Bundle, _secret: bytes) -> AnswerReversed:
        shadows = [network.double() for network in _shadows(bundle)]
        reads_inputs = bundle.manifest.shadows.on == "inputs"

        def answer(inputs: Images, seen: Seen) -> Answers:
            read = torch.from_numpy((inputs if reads_inputs else seen.features).astype(np.float64))
            p = torch.from_numpy(seen.probabilities.astype(np.float64))
            slopes = [own_gradient_reversed(shadow, read, p).numpy() for shadow in shadows[:3]]
            return redirect(seen.probabilities, np.mean(slopes, axis=0), l1)

        return answer

    return prepare


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate("reversal-query", "the paper's reversal", Scope.QUERY, _reversal),
        Candidate("reversal-class", "reversal of a crossed class", Scope.CLASS, _reversal),
        Candidate("reversal-account", "reversal of everything", Scope.ACCOUNT, _reversal),
        Candidate("swap-class", "keyed local swap of a crossed class", Scope.CLASS, _local_swap),
        Candidate("swap-account", "keyed local swap of everything", Scope.ACCOUNT, _local_swap),
        Candidate("permutation", "one wrong class a class", Scope.ACCOUNT, _permutation),
        Candidate("decoy-class", "input decoy for a crossed class", Scope.CLASS, _input_decoy),
        Candidate("decoy-account", "input decoy for everything", Scope.ACCOUNT, _input_decoy),
        Candidate("feature-decoy", "decoy over features", Scope.ACCOUNT, _feature_decoy),
        Candidate("second-mass", "partner tie, label kept", Scope.ACCOUNT, _second_mass),
        Candidate(
            "label-reversal", "reversal, label kept, L1 1", Scope.ACCOUNT, _reversal_keeping_label
        ),
        Candidate("redirection-1", "redirection, L1 1", Scope.ACCOUNT, _redirection(1.0)),
        Candidate("redirection-2", "redirection, any answer", Scope.ACCOUNT, _redirection(2.0)),
    )
}


def _shadow_mean(bundle: Bundle) -> Callable[[Images, Seen], torch.Tensor]:
    ensemble = ShadowEnsemble(_shadows(bundle))
    members = np.arange(ensemble.count)[None]
    reads_inputs = bundle.manifest.shadows.on == "inputs"

    def mean(inputs: Images, seen: Seen) -> torch.Tensor:
        read = np.ascontiguousarray(inputs if reads_inputs else seen.features)
        every = np.repeat(members, len(read), axis=0)
        return ensemble.mean_probabilities(torch.from_numpy(read), every)

    return mean


def _shadows(bundle: Bundle) -> list[torch.nn.Module]:
    spec, shadows = bundle.manifest.shadows, []
    for number in range(spec.count):
        shadow = build_shadow(spec.architecture, spec.input_shape, bundle.manifest.num_classes)
        tensors = bundle.shadow(number)
        shadow.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in tensors.items()})
        shadows.append(shadow.eval())
    return list(shadows)


def _swapped(
    probabilities: Answers, labels: NDArray[np.int64], wrong: NDArray[np.int64]
) -> Answers:
    """The numbers of p with those of two classes exchanged, (Q, C)."""
    rows, swapped = np.arange(len(labels)), probabilities.copy()
    swapped[rows, labels] = probabilities[rows, wrong]
    swapped[rows, wrong] = probabilities[rows, labels]
    return swapped


def _keyed(secret: bytes, label: int, cell: bytes) -> int:
    digest = hmac.digest(secret, label.to_bytes(4, "little") + cell, "sha256")
    return int.from_bytes(digest[:8], "little")

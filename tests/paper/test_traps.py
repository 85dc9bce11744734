"""The traps of the first public implementation, each held shut by a test of its name.

Traps 9 and 10, how attackers are simulated and what is printed beside their accuracy,
belong to the red team and the demo.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from queen.bundle import (
    BundleDraft,
    DecoySpec,
    GeometryParameters,
    Manifest,
    MeterSpec,
    ShadowSpec,
    TensorSignature,
    open_bundle,
    write_bundle,
)
from queen.errors import BundleError, ConfigError, ContractViolated, FitError
from queen.method.answers.decoy import SketchSpace, make_decoy
from queen.method.answers.ensemble import ShadowDraw, ShadowEnsemble, ShadowNetwork, build_shadow
from queen.method.answers.gradient_reverse import gradient_reverse, paper_answer
from queen.method.answers.label_preserving import LinearHead, preserve_label
from queen.method.answers.misdirection import balanced_answer, partner_classes, safe_answer
from queen.method.contracts import BALANCED_L1, Profile, check_answers, check_simplex
from queen.method.geometry import Geometry, fit_feature_centers, fit_geometry
from queen.method.ledger import Assessment, LedgerLevels, LedgerRows, Verdict, assess_rows
from queen.method.mapping import class_pair_batches, supervised_contrastive_loss
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import (
    budget_thresholds,
    mean_squared_sensitivity,
)

Points = NDArray[np.float32]
SECRET, DIGEST = b"a secret of 16 bytes", "5e" * 32


def _regions(coverage_fraction: float = 0.02, scale: float = 1.0) -> Geometry:
    centers = np.array([[0, 0], [10, 0], [20, 0]], np.float32) * np.float32(scale)
    radii = np.full(3, scale, np.float32)
    return Geometry(centers, radii, 1.0, 1.0, coverage_fraction)


def _inside(seed: int, geometry: Geometry, label: int, count: int) -> Points:
    """Points spread evenly over the sensitive region of `label`, (count, 2)."""
    rng = np.random.default_rng(seed)
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 0.999, count))
    offset = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
    moved = geometry.cluster_centers[label] + offset * geometry.sensitive_radius[label]
    return moved.astype(np.float32)


def _constant_shadow(logits: list[float]) -> ShadowNetwork:
    """A shadow that gives the same logits whatever the input (B, 4)."""
    shadow = build_shadow("head", (4,), len(logits))
    shadow.load_state_dict(
        shadow.state_dict()
        | {"body.1.weight": torch.zeros(len(logits), 4), "body.1.bias": torch.tensor(logits)}
    )
    return shadow


def test_trap_1_softmax_is_averaged_not_logits() -> None:
    """One shadow with large logits must not speak for all: the reversal would flip no label."""
    loud, quiet = [30.0, 0.0, 0.0], [0.0, 3.0, 0.0]
    ensemble = ShadowEnsemble([_constant_shadow(loud)] + [_constant_shadow(quiet)] * 2)
    q = ensemble.mean_probabilities(torch.zeros(1, 4), np.array([[0, 1, 2]]))
    softmax = torch.softmax(torch.tensor([loud, quiet, quiet], dtype=torch.float64), dim=1)
    torch.testing.assert_close(q[0], softmax.mean(dim=0))

    # 2q - p flips the label with the mean of probabilities, and not with that of logits.
    p = torch.tensor([[0.9, 0.06, 0.04]], dtype=torch.float64)
    of_logits = torch.softmax(torch.tensor([loud, quiet, quiet]).double().mean(0), dim=0)[None]
    assert gradient_reverse(p, q).argmax() == 1
    assert gradient_reverse(p, of_logits).argmax() == 0


def _assess(
    geometry: Geometry, points: Points, ledgers: list[int], cqs: list[float], threshold: float
) -> Assessment:
    labels = np.zeros(len(points), np.int64)
    thresholds = np.full(len(cqs), threshold)
    unseen = np.full(len(points), np.inf)
    return assess_rows(
        geometry,
        LedgerRows(points, labels, np.array(ledgers)),
        unseen,
        LedgerLevels(np.array(cqs), thresholds),
    )


def test_trap_2_no_account_changes_anothers_answers() -> None:
    """Behind one account over its budget and one that is not, an account is judged as alone."""
    geometry = _regions(coverage_fraction=0.1)
    points = _inside(2, geometry, 0, 40)
    alone = _assess(geometry, points, [0] * 40, [0.0], 0.05)
    # Each query three times: by an account that spent ten budgets, by a new one, then by ours.
    thrice = np.repeat(points, 3, axis=0)
    shared = _assess(geometry, thrice, [1, 2, 0] * 40, [0.0, 0.5, 0.0], 0.05)
    spent, ours = slice(0, None, 3), slice(2, None, 3)
    np.testing.assert_array_equal(shared.verdicts[ours], alone.verdicts)
    np.testing.assert_allclose(shared.cqs_after[ours], alone.cqs_after, atol=1e-15)
    assert set(alone.verdicts.tolist()) == {Verdict.PRESERVE, Verdict.RECORD, Verdict.REVERSE}
    assert set(shared.verdicts[spent].tolist()) == {Verdict.REVERSE}


def _reversed_answers(points: Points, inputs: torch.Tensor, secret: bytes = SECRET) -> list[bytes]:
    """The bytes of the keyed, reversed answer to each of the rows."""
    geometry = _regions()
    torch.manual_seed(3)
    ensemble = ShadowEnsemble([build_shadow("mlp", (4,), 3) for _ in range(8)])
    labels = np.zeros(len(points), np.int64)
    members = ShadowDraw(secret, DIGEST, geometry, count=8, drawn=3).members(points, labels)
    p = torch.softmax(3 * inputs[:, :3].double(), dim=1)
    answers = paper_answer(p, ensemble.mean_probabilities(inputs, members))
    return [row.tobytes() for row in answers.float().numpy()]


def test_trap_3_the_same_query_gets_the_same_answer_64_times() -> None:
    """Asked 64 times, in batches of other queries, by anybody: one answer, bit by bit."""
    points = _inside(3, _regions(), 0, 40)
    inputs = torch.randn(40, 4, generator=torch.Generator().manual_seed(3))
    whole = _reversed_answers(points, inputs)
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(64):
        rows = np.r_[0, rng.permutation(np.arange(1, 40))[: rng.integers(0, 39)]]
        seen.add(_reversed_answers(points[rows], inputs[rows])[0])
    assert seen == {whole[0]}
    # The draw does matter: without the secret it cannot be had.
    assert _reversed_answers(points, inputs, b"another secret of 16") != whole


def test_trap_3_no_account_is_part_of_the_draw() -> None:
    """Two flagged accounts that compare notes find nothing: the key has no account in it."""
    key = [field.name for field in dataclasses.fields(ShadowDraw)]
    assert key == ["secret", "bundle_digest", "geometry", "count", "drawn"]
    of_a_row = list(inspect.signature(ShadowDraw.members).parameters)
    assert of_a_row == ["self", "embeddings", "labels"]


def _records_at_crossing(geometry: Geometry, threshold: float) -> int:
    """Records of a class when the first of an even stream of queries is reversed."""
    records, cqs = np.empty((0, 2), np.float32), 0.0
    for seed in range(100):
        points = _inside(seed, geometry, 1, 100)
        step = assess_rows(
            geometry,
            LedgerRows(points, np.ones(100, np.int64), np.zeros(100, np.int64)),
            nearest_distances(records, points),
            LedgerLevels(np.array([cqs]), np.array([threshold])),
        )
        records = np.vstack([records, points[step.recorded]])
        cqs = float(step.cqs_after[-1])
        if Verdict.REVERSE in step.verdicts:
            return len(records)
    raise AssertionError("expected the threshold to be crossed within 10,000 queries")


@pytest.mark.parametrize("scale", [0.001, 1.0, 1000.0])
@pytest.mark.parametrize("budget", [20, 100, 600])
def test_trap_4_the_budget_is_crossed_after_about_n_records(budget: int, scale: float) -> None:
    """N records of a class, and not never: whatever the scale of the embedding."""
    geometry = _regions(scale=scale)
    labels = np.repeat([0, 1, 2], 2000)
    samples = np.concatenate([_inside(90 + label, geometry, label, 2000) for label in range(3)])
    mean_squared_sqs = mean_squared_sensitivity(geometry, samples, labels)
    thresholds = budget_thresholds(geometry, mean_squared_sqs, budget)
    crossed_after = _records_at_crossing(geometry, float(thresholds[1]))
    assert crossed_after == pytest.approx(budget, rel=0.1, abs=2)


def test_trap_4_a_budget_that_no_region_can_hold_is_refused() -> None:
    """50,000 records do not fit at r / rs = 0.02: reversal would never begin."""
    mean_squared_sqs = np.full(3, 0.46)
    with pytest.raises(ConfigError, match=r"at most \d+ records of a class, got 50000"):
        budget_thresholds(_regions(0.02), mean_squared_sqs, 50_000)
    # r and T belong together: with discs five times as wide, 200 are too many already.
    with pytest.raises(ConfigError, match="the sensitive region is full before"):
        budget_thresholds(_regions(0.1), mean_squared_sqs, 200)


def test_trap_5_centers_are_over_the_whole_set() -> None:
    """Classes that begin after the first 1,000 samples have their own centers all the same."""
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], 900)
    embeddings = rng.normal(size=(2700, 2)) + labels[:, None] * 8
    geometry = fit_geometry(embeddings, labels, 3)
    features = fit_feature_centers(embeddings, labels, 3)
    for label in range(3):
        mean = embeddings[labels == label].mean(axis=0)
        np.testing.assert_allclose(geometry.cluster_centers[label], mean, atol=1e-6)
        np.testing.assert_allclose(features[label], mean, atol=1e-6)
    # The last samples count as much as the first.
    embeddings[-1] += 900
    moved = fit_geometry(embeddings, labels, 3).cluster_centers[2] - geometry.cluster_centers[2]
    np.testing.assert_allclose(moved, 1.0, atol=1e-4)


def test_trap_5_a_class_without_samples_is_an_error_that_names_it() -> None:
    """It would be silently unprotected."""
    labels = np.array([0, 0, 2, 2])
    with pytest.raises(FitError, match=r"class 1 \(shoe\): expected at least 2 samples, got 0"):
        fit_geometry(np.eye(4, 2), labels, 3, class_names=["hat", "shoe", "bag"])
    with pytest.raises(FitError, match="class 1: expected at least 2 samples, got 0"):
        fit_feature_centers(np.eye(4, 2), labels, 3)


@pytest.mark.parametrize("batch_size", [2, 16, 64])
def test_trap_6_no_batch_makes_the_contrastive_loss_nan(batch_size: int) -> None:
    """Over a long-tailed set, an epoch of any batch size has a finite loss in every batch."""
    rng = np.random.default_rng(6)
    labels = rng.permutation(np.repeat(np.arange(30), np.r_[np.full(25, 2), 3, 5, 40, 90, 200]))
    embeddings = torch.from_numpy(rng.normal(size=(len(labels), 2)))
    for batch in class_pair_batches(labels, batch_size, rng):
        loss = supervised_contrastive_loss(embeddings[batch], torch.from_numpy(labels[batch]))
        assert torch.isfinite(loss)


def test_trap_6_a_class_alone_in_a_batch_is_an_error_not_a_nan() -> None:
    """The published loss divides by the number of positives, which is then 0."""
    with pytest.raises(FitError, match="expected at least 2 samples of every class in a batch"):
        supervised_contrastive_loss(torch.randn(3, 2), torch.tensor([0, 0, 1]))


def test_trap_6_a_nan_does_not_become_a_region() -> None:
    """Every later `d < rs` would be false, and the defense off without a word."""
    embeddings = np.random.default_rng(6).normal(size=(8, 2))
    embeddings[3] = np.nan
    with pytest.raises(FitError, match="class 1: its embeddings are not finite"):
        fit_geometry(embeddings, np.arange(8) % 2, 2)
    with pytest.raises(FitError, match="class 1: its embeddings are not finite"):
        Geometry(np.zeros((2, 2), np.float32), np.array([1, np.nan], np.float32))


def _sketch_space(classes: int, width: int) -> SketchSpace:
    """A frame whose axes are the numbers of a sketch, (S,) = (R,) = (width,)."""
    axes, means = np.eye(width, dtype=np.float32), np.zeros((classes, width), np.float32)
    return SketchSpace(np.zeros(width, np.float32), axes, means, 0.9)


def _write_with_shadows(out: Path, shadows: list[ShadowNetwork], drawn: int, count: int) -> None:
    """A bundle of 3 classes, whose shadows read 4 features."""
    geometry = _regions()
    weight, bias = np.eye(3, 4, dtype=np.float32), np.zeros(3, np.float32)
    spec = ShadowSpec(on="features", architecture="mlp", input_shape=[4], count=count, drawn=drawn)
    manifest = Manifest(
        queen_version="0",
        model_name="m",
        class_names=["a", "b", "c"],
        feature_width=4,
        embedding_width=2,
        input=TensorSignature(name="x", datatype="FP32", shape=[-1, 4]),
        geometry=GeometryParameters(alpha=1.0, beta=1.0, coverage_fraction=0.02),
        shadows=spec,
        decoy=DecoySpec(sketch_width=4, rank=4, confidence=0.9),
        meter=MeterSpec(rise=1.6, fall=0.13, limit=9.0, false_flags={}),
    )
    tensors = [{k: v.numpy() for k, v in shadow.state_dict().items()} for shadow in shadows]
    draft = BundleDraft(
        manifest,
        protectee=b"graph",
        head=LinearHead(weight, bias, weight, 1.0),
        geometry=geometry,
        mean_squared_sqs=np.full(3, 0.46),
        sketch_space=_sketch_space(3, 4),
        meter=OffDistributionMeter(np.full(3, 2.5), 1.6, 0.13, 9.0),
        shadows=tensors,
    )
    write_bundle(out, draft)


def test_trap_7_all_shadows_are_loaded_and_all_can_be_drawn(tmp_path: Path) -> None:
    """K = n works after a reload, and the mean is over all n: none was dropped."""
    torch.manual_seed(7)
    shadows = [build_shadow("mlp", (4,), 3) for _ in range(5)]
    _write_with_shadows(tmp_path / "bundle", shadows, drawn=5, count=5)
    bundle = open_bundle(tmp_path / "bundle")
    spec = bundle.manifest.shadows
    loaded = [build_shadow(spec.architecture, spec.input_shape, 3) for _ in range(spec.count)]
    for index, shadow in enumerate(loaded):
        state = {k: torch.from_numpy(v) for k, v in bundle.shadow(index).items()}
        shadow.load_state_dict(state)
    points = _inside(7, bundle.geometry, 0, 30)
    draw = ShadowDraw(SECRET, bundle.digest, bundle.geometry, count=5, drawn=spec.drawn)
    members = draw.members(points, np.zeros(30, np.int64))
    assert (np.sort(members, axis=1) == np.arange(5)).all()

    inputs = torch.randn(30, 4)
    mean = ShadowEnsemble(loaded).mean_probabilities(inputs, members)
    alone = [torch.softmax(shadow.double()(inputs.double()), dim=1) for shadow in shadows]
    torch.testing.assert_close(mean, torch.stack(alone).mean(dim=0).detach())


@pytest.mark.parametrize("written", [4, 6])
def test_trap_7_a_dropped_shadow_is_an_error(tmp_path: Path, written: int) -> None:
    """Where the manifest and the shadows disagree, nothing is written."""
    shadows = [build_shadow("mlp", (4,), 3) for _ in range(written)]
    with pytest.raises(BundleError, match=f"shadows: the manifest says 5, got {written}"):
        _write_with_shadows(tmp_path / "bundle", shadows, drawn=5, count=5)


def test_trap_8_every_answer_is_on_the_simplex() -> None:
    """Preserved, and under all profiles: non-negative, summing to 1 within 1e-6, no NaN."""
    rng = np.random.default_rng(8)
    for classes in (2, 10, 200):
        weight, bias, centers = (
            rng.normal(size=shape).astype(np.float32) * 3
            for shape in ((classes, 16), (classes,), (classes, 16))
        )
        features = rng.normal(size=(50, 16)).astype(np.float32) * 5
        logits = features @ weight.T + bias
        answers = preserve_label(LinearHead(weight, bias, centers, 4.0), logits, features)
        check_simplex(answers)
        p = torch.softmax(torch.from_numpy(logits).double(), dim=1)
        q = torch.from_numpy(rng.dirichlet(np.ones(classes), 50))
        own = p.numpy().astype(np.float32)
        partners = partner_classes(DIGEST, classes)
        decoy = make_decoy(SECRET, DIGEST, _sketch_space(classes, 16)).answers(features)
        by_profile = {
            Profile.PAPER: paper_answer(p, q).numpy().astype(np.float32),
            Profile.SAFE: safe_answer(own, own.argmax(axis=1), partners),
            Profile.BALANCED: balanced_answer(own, partners, BALANCED_L1),
            Profile.STRICT: decoy,
            Profile.OBSERVE: own,
        }
        # A refused query has no answer.
        assert set(by_profile) == set(Profile) - {Profile.REFUSE}
        for profile, answers in by_profile.items():
            check_answers(profile, answers, own)


def test_trap_8_logits_for_an_answer_are_refused() -> None:
    """The check that stands before every answer tells logits from probabilities."""
    logits = np.array([[2.0, -1.0, 0.0]], np.float32)
    with pytest.raises(ContractViolated):
        check_simplex(logits)
    with pytest.raises(ContractViolated):
        check_simplex(np.abs(logits))

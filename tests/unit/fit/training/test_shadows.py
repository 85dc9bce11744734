import numpy as np
import pytest

from queen.fit.findings.flips import shadow_probabilities
from queen.fit.training.shadows import (
    ShadowPlan,
    choose_architecture,
    shadow_tensors,
    train_shadows,
)
from tests.unit.fit.blobs import blobs


@pytest.mark.parametrize(
    ("shape", "architecture"),
    [
        ((64,), "mlp"),
        ((8, 8), "cnn"),
        ((28, 28), "cnn"),
        ((1, 28, 28), "cnn"),
        ((28, 28, 1), "cnn"),
        ((28, 28, 3), "cnn"),
        ((1, 32, 32), "cnn"),
        ((3, 32, 32), "resnet"),
        ((32, 32, 3), "resnet"),
        ((1, 64, 64), "resnet"),
        ((5, 200), "mlp"),
        ((16, 3, 8, 8), "mlp"),
    ],
)
def test_the_architecture_follows_the_input(shape: tuple[int, ...], architecture: str) -> None:
    """Small images get a small CNN, color from 32 by 32 a residual one, the rest an MLP."""
    assert choose_architecture("inputs", shape) == architecture
    assert choose_architecture("features", shape) == "head"


@pytest.mark.parametrize("shape", [(16,), (8, 8), (1, 8, 8), (8, 8, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float64])
def test_shadows_learn_from_inputs_of_any_kind(shape: tuple[int, ...], dtype: type) -> None:
    """Images, vectors, bytes and floats alike: better than chance after 40 steps."""
    features, labels = blobs(width=int(np.prod(shape)), per_class=40)
    inputs = (128 + 30 * features).clip(0, 255).reshape(-1, *shape).astype(dtype)
    shadows = train_shadows(inputs, labels, 4, ShadowPlan(count=2, steps=40))
    answers = shadow_probabilities(shadows, inputs)
    assert answers.shape == (2, 160, 4)
    assert ((answers.argmax(axis=2) == labels).mean(axis=1) > 0.5).all()


def test_every_shadow_has_a_seed_of_its_own() -> None:
    """Two of one ensemble differ; the same plan gives the same two."""
    features, labels = blobs()
    plan = ShadowPlan(on="features", count=2, steps=5)
    first, second = train_shadows(features, labels, 4, plan)
    again = train_shadows(features, labels, 4, plan)
    weight = "body.1.weight"
    assert not np.allclose(shadow_tensors(first)[weight], shadow_tensors(second)[weight])
    for shadow, same in zip((first, second), again, strict=True):
        for name, tensor in shadow_tensors(shadow).items():
            np.testing.assert_array_equal(tensor, shadow_tensors(same)[name])


def test_steps_win_over_epochs() -> None:
    """Without steps, every sample is seen once an epoch."""
    assert ShadowPlan(epochs=2).planned_steps(130) == 6
    assert ShadowPlan(epochs=2, steps=4).planned_steps(130) == 4


def test_a_higher_learning_rate_makes_a_stronger_shadow() -> None:
    """In the same steps it gets farther from what it began with."""
    features, labels = blobs(spread=0.2)
    sureness = []
    for rate in (1e-5, 1e-2):
        plan = ShadowPlan(on="features", count=1, steps=20, rate=rate)
        answers = shadow_probabilities(train_shadows(features, labels, 4, plan), features)
        sureness.append(float(answers[0][np.arange(len(labels)), labels].mean()))
    assert sureness[0] < sureness[1] - 0.1

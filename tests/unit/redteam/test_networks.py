"""Networks learn, repeat and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from queen.errors import ConfigError
from queen.redteam.augmentation import Augmentation
from queen.redteam.datasets import load_digits_split
from queen.redteam.networks import (
    RESIDUAL_SIZES,
    Regime,
    accuracy,
    architecture,
    architecture_for,
    build_network,
    export_onnx,
    set_memory_format,
    train_network,
)


@pytest.fixture(scope="module")
def split():
    """The digits, divided."""
    return load_digits_split(0)


def _protectee(split, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return train_network(build_network("digits"), split.train_x, split.train_y, Regime(15, seed))


def test_a_protectee_learns_digits(split):
    """Fifteen epochs give more than 90 % on the test set."""
    assert accuracy(_protectee(split), split.test_x, split.test_y) > 0.9


def test_a_seed_gives_the_same_weights(split):
    """Training is a function of its seed."""
    first, second = (_protectee(split).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("dataset", ["fashion-mnist", "mnist", "cifar10"])
def test_the_memory_format_is_that_of_images_of_one_channel_too(dataset: str):
    """Strides decide which kernels run, and with them the last bits of the weights of a seed."""
    network = build_network(dataset)
    weights = [parameter for parameter in network.parameters() if parameter.dim() == 4]
    for memory_format in (torch.channels_last, torch.contiguous_format):
        set_memory_format(network, memory_format)
        for weight in weights:
            _, channels, height, width = weight.shape
            size = channels * height * width
            by_format = {
                torch.channels_last: (size, 1, width * channels, channels),
                torch.contiguous_format: (size, height * width, width, 1),
            }
            assert weight.stride() == by_format[memory_format]


def test_the_export_gives_the_same_logits_for_any_batch(split, tmp_path: Path):
    """ONNX Runtime and Torch agree, and the batch axis is free."""
    network = _protectee(split)
    export_onnx(network, split.train_x, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    for count in (1, 5):
        rows = split.test_x[:count]
        with torch.inference_mode():
            expected = network(torch.from_numpy(rows)).numpy()
        np.testing.assert_allclose(session.run(None, {"image": rows})[0], expected, atol=1e-4)


def test_an_unknown_data_set_is_named():
    """The error lists the data sets there are."""
    with pytest.raises(ConfigError, match="digits, fashion-mnist"):
        build_network("imagenet")


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10", "any:5:3", "any:2x9x9:4"])
def test_the_last_module_is_the_head(dataset: str):
    """The modules before it give features (B, D), and it gives C logits of them."""
    *body, head = build_network(dataset, 0.5).children()
    assert isinstance(head, torch.nn.Linear)
    shapes = {"digits": (64,), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
    shape = shapes.get(dataset) or tuple(map(int, dataset.split(":")[1].split("x")))
    features = torch.nn.Sequential(*body)(torch.zeros(2, *shape))
    assert features.shape == (2, head.in_features)


def test_samples_of_a_familiar_shape_get_the_network_of_that_set():
    """Other shapes get a network of their own, and odd ones none."""
    assert architecture_for((1, 28, 28), 10) == "fashion-mnist"
    assert architecture_for((1, 28, 28), 7) == "any:1x28x28:7"
    assert architecture_for((12,), 3) == "any:12:3"
    with pytest.raises(ConfigError, match="vectors or images"):
        architecture_for((4, 4), 10)


def test_a_residual_network_exports(tmp_path: Path):
    """ONNX Runtime computes the outputs of Torch, for any batch size."""
    network = build_network("any:3x16x16:4", 0.25)
    rows = np.random.default_rng(0).random((5, 3, 16, 16), dtype=np.float32)
    export_onnx(network, rows, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    with torch.inference_mode():
        expected = network(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(session.run(None, {"image": rows})[0], expected, atol=1e-4)


def test_a_network_has_one_name_for_each_of_its_sizes():
    """A cache tells copies from protectees, and the networks of a GPU from those of a CPU."""
    assert architecture("digits") == "digits"
    assert architecture("mnist", 0.5) == "mnist 0.5"
    sizes = {"x".join(map(str, size)) for size in RESIDUAL_SIZES.values()}
    assert architecture("cifar10", 0.5) in {f"cifar10 0.5 {size}" for size in sizes}


def test_images_are_augmented_where_the_regime_says_so(split):
    """Other inputs, so other weights; a seed gives the same weights again."""
    augmented = Regime(1, 0, augmentation=Augmentation(noise=0.1))
    networks = []
    for regime in (Regime(1, 0), augmented, augmented):
        torch.manual_seed(0)
        network = build_network("digits")
        networks.append(train_network(network, split.train_x, split.train_y, regime).state_dict())
    plain, first, again = networks
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], plain["0.weight"])

"""Classifiers of scikit-learn's digits, exported the way their owners would."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from torch import nn

Array = NDArray[Any]


def digits() -> tuple[Array, Array]:
    """600 images (N, 64) float32 of 0 to 16 and their labels (N,)."""
    images, labels = load_digits(return_X_y=True)
    return images[:600].astype(np.float32), labels[:600]


class Convolutional(nn.Module):
    """Images (B, 1, 8, 8) -> logits (B, 10), then `ending`."""

    def __init__(self, ending: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.dropout = nn.Conv2d(1, 4, 3), nn.Dropout()
        self.hidden, self.last, self.ending = nn.Linear(144, 24), nn.Linear(24, 10), ending

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The answer in evaluation mode."""
        seen = torch.relu(self.convolution(images.to(torch.float32) / 16))
        features = torch.relu(self.hidden(seen.reshape(images.shape[0], -1)))
        return self.ending(self.last(self.dropout(features)))


ENDINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "logits": lambda logits: logits,
    "softmax": lambda logits: torch.softmax(logits, dim=1),
    "cast": lambda logits: torch.softmax(logits, dim=1).to(torch.float64),
    "reshape": lambda logits: logits.reshape(logits.shape[0], 10, 1).squeeze(2),
    "temperature": lambda logits: torch.softmax(logits / 2.5, dim=-1),
}


def export_torch(
    path: Path,
    ending: str = "softmax",
    *,
    dynamo: bool,
    free: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Export with the named exporter; `free` leaves the batch axis open."""
    model = Convolutional(ENDINGS[ending]).eval()
    images = torch.zeros(2, 1, 8, 8, dtype=dtype)
    axes: dict[str, Any] = {}
    if free and dynamo:
        axes = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False}
    elif free:
        axes = {"dynamic_axes": {"images": {0: "batch"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (images,), path, dynamo=dynamo, input_names=["images"], verbose=False, **axes
        )
    return path


def export_sklearn(
    path: Path, *, zipmap: bool = True, wide: bool = False, classes: int = 10
) -> Path:
    """Train an MLPClassifier on the digits and export it with skl2onnx."""
    images, labels = digits()
    network = MLPClassifier((32, 24), max_iter=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(images, labels % classes)
    like = images[:1].astype(np.float64 if wide else np.float32)
    onnx.save(to_onnx(network, like, options={"zipmap": zipmap}), path)
    return path

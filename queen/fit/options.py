"""The options of `queen fit`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from queen.defaults import BUDGET
from queen.errors import FitError
from queen.fit.graph.surgery import AUTO
from queen.fit.training.mapping import LOSSES, Loss
from queen.fit.training.shadows import SHADOW_RATE, Source

AUTO_RANGE, NO_RANGE = "auto", "off"
"""The bounds of the inputs that the training set shows, and none."""
InputRangeChoice = str | tuple[float, float]
"""AUTO_RANGE, NO_RANGE, or a low and a high bound."""

_COUNTS = (
    "shadows",
    "budget",
    "embedding_width",
    "shadow_epochs",
    "shadow_steps",
    "mapping_epochs",
)


@dataclass(frozen=True)
class FitOptions:
    """Everything that decides a bundle; the same options give the same bundle.

    `class_names` is a file with one name a line, a comma list, or the names.
    `shadow_steps` (batches of 64) wins over `shadow_epochs`; without either, shadows are
    trained as long as the reversal still changes `shadow_flip_rate` of the labels, at most
    one epoch, by Adam at the learning rate `shadow_rate`. `false_flags` is the share of honest
    accounts that the off-distribution meter may flag within 10,000 queries. `input_range` says
    which bounds the inputs have: those found in the training set, none, or a stated pair. `budget`,
    in records of a class, is checked and reported on, but it is the operator's and not in the
    bundle.
    Raises FitError for a number out of range.
    """

    model: Path
    data: Path
    out: Path
    name: str | None = None
    features: str = AUTO
    output: str | None = None
    class_names: str | Sequence[str] | None = None
    shadows_on: Source = "inputs"
    shadows: int = 10
    shadows_drawn: int = 5
    shadow_epochs: int | None = None
    shadow_steps: int | None = None
    shadow_flip_rate: float = 0.9
    shadow_rate: float = SHADOW_RATE
    coverage_fraction: float = 0.02
    budget: int = BUDGET
    embedding_width: int = 2
    mapping_loss: Loss = "distance"
    mapping_epochs: int | None = None
    seed: int = 0
    false_flags: float = 0.001
    input_range: InputRangeChoice = AUTO_RANGE
    replace: bool = False

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise FitError(f"expected {name} of at least 1, got {value}")
        if not 1 <= self.shadows_drawn <= self.shadows:
            raise FitError(
                f"expected to draw 1 to {self.shadows} shadows, got {self.shadows_drawn}"
            )
        if not 0 < self.coverage_fraction < 1:
            raise FitError(
                f"expected a coverage fraction between 0 and 1, got {self.coverage_fraction}"
            )
        if not 0 < self.shadow_flip_rate <= 1:
            raise FitError(f"expected a flip rate in (0, 1], got {self.shadow_flip_rate}")
        if not 0 < self.shadow_rate < 1:
            raise FitError(f"expected a learning rate between 0 and 1, got {self.shadow_rate}")
        if not 0 < self.false_flags < 0.5:
            raise FitError(
                f"expected a share of false flags between 0 and 0.5, got {self.false_flags}"
            )
        if self.seed < 0:
            raise FitError(f"expected a seed of at least 0, got {self.seed}")
        _require_range(self.input_range)
        if self.shadows_on not in ("inputs", "features") or self.mapping_loss not in LOSSES:
            raise FitError(
                "expected shadows on inputs or features and a mapping loss distance or cosine, "
                f"got {self.shadows_on} and {self.mapping_loss}"
            )

    @property
    def model_name(self) -> str:
        """The protectee's name: the given one or the file's stem."""
        return self.name or self.model.stem


def _require_range(choice: InputRangeChoice) -> None:
    if choice in (AUTO_RANGE, NO_RANGE):
        return
    if isinstance(choice, str) or not -inf < choice[0] < choice[1] < inf:
        raise FitError(
            f"expected an input range of {AUTO_RANGE}, {NO_RANGE} or two finite bounds, the low "
            f"one first, got {choice}"
        )

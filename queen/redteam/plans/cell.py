"""A cell: an attack on a defense, with everything that decides its figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from queen.defaults import BREADTH, CLASS_CAP
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF
from queen.redteam.attacks import ATTACKS
from queen.redteam.datasets import DATASETS
from queen.redteam.defenses import DEFENSES
from queen.redteam.pools import POOLS

QUEEN = "queen"
QUEEN_EPOCH = "queen-epoch-shadows"
"""Queen with shadow models trained for an epoch on inputs, as published."""
OURS = (QUEEN, QUEEN_EPOCH)


@dataclass(frozen=True)
class Cell:
    """An attack on a defense; a row of a report.

    `profile`, `budget` (records of a class), `breadth` and `class_cap` belong to Queen, and are
    None for a baseline; Queen without a breadth or a class cap has those of `queen.defaults`.
    `accounts` share the `queries`; `linked` says whether they are one group. Raises ConfigError
    for an unknown name.
    """

    dataset: str
    defense: str
    profile: str | None
    budget: int | None
    attack: str
    pool: str
    accounts: int
    linked: bool
    queries: int
    seed: int
    breadth: int | None = None
    class_cap: int | None = None
    members: int = 1
    """Copies of the ensemble that the thief makes of the last answers; 1 for a single copy."""

    def __post_init__(self) -> None:
        self._complete()
        _require("data set", self.dataset, DATASETS)
        _require("defense", self.defense, defense_names())
        _require("attack", self.attack, ATTACKS)
        _require("pool", self.pool, POOLS)
        if self.is_ours:
            _require("profile", str(self.profile), [profile.value for profile in Profile])
        if self.is_ours != (self.budget is not None) or self.is_ours != (self.profile is not None):
            raise ConfigError(
                f"expected a profile and a budget for {', '.join(OURS)} and for no other defense, "
                f"got {self.profile} and {self.budget} for {self.defense}"
            )
        if min(self.accounts, self.queries, self.members) < 1:
            raise ConfigError("expected at least 1 account, 1 query and 1 copy")

    def _complete(self) -> None:
        """Fill in the rest of the crossing policy; a baseline has none."""
        for name, default in (("breadth", BREADTH), ("class_cap", CLASS_CAP)):
            if not self.is_ours:
                object.__setattr__(self, name, None)
            elif getattr(self, name) is None:
                object.__setattr__(self, name, default)

    @property
    def is_ours(self) -> bool:
        """Whether the defense is Queen."""
        return self.defense in OURS

    @property
    def name(self) -> str:
        """A hash that is the same for the same cell in every run."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """The cell in words, for the progress bar and the report."""
        shown = f"{self.profile} {policy_title(asdict(self))}" if self.is_ours else self.defense
        spread = f" x{self.accounts}{' linked' if self.linked else ''}" if self.accounts > 1 else ""
        company = f", {self.members} copies" if self.members > 1 else ""
        return f"{self.attack}{spread} on {shown}{company}, seed {self.seed}"


def policy_title(key: Mapping[str, Any]) -> str:
    """A crossing policy in a few words: `n100`, or `n100 b5 c3` with a breadth and a class cap."""
    breadth = f" b{key['breadth']}" if key["breadth"] != 1 else ""
    class_cap = f" c{key['class_cap']}" if key["class_cap"] != CAP_OFF else ""
    return f"n{key['budget']}{breadth}{class_cap}"


def defense_names() -> list[str]:
    """Every defense that can be attacked, Queen first."""
    return [*OURS, *DEFENSES]


def _require(subject: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ConfigError(f"{subject}: expected one of {', '.join(known)}, got {name}")

"""The profiles of the rows of a micro-batch, as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.contracts import Profile
from queen.wire import PROFILES

RowIndex = NDArray[np.int64]
Profiles = NDArray[np.uint8]
"""The profile of each row (B,), as PROFILE_CODES has it."""
PROFILE_CODES = {profile: number for number, profile in PROFILES.items()} | {
    Profile.OBSERVE: 254,
    Profile.SAFE: 255,
}
"""Profiles as the wire numbers them; observe and safe never travel."""
REVERSED = (Profile.PAPER, Profile.BALANCED, Profile.STRICT)
"""Profiles whose flagged rows the perturber answers."""

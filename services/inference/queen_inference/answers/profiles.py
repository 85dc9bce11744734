"""The profiles of the rows of a micro-batch, as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.contracts import Profile

RowIndex = NDArray[np.int64]
Profiles = NDArray[np.uint8]
"""The profile of each row (B,), as PROFILE_CODES has it."""
PROFILE_CODES = {
    Profile.OBSERVE: 0,
    Profile.PAPER: 1,
    Profile.SAFE: 2,
    Profile.BALANCED: 3,
    Profile.STRICT: 4,
}
"""Profiles as the wire numbers them; observe and safe never travel."""
REVERSED = (Profile.PAPER, Profile.BALANCED, Profile.STRICT)
"""Profiles whose flagged rows the perturber answers."""

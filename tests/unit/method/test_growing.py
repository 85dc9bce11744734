"""Arrays with more room."""

from __future__ import annotations

import numpy as np
import pytest

from queen.method.growing import grown


@pytest.mark.parametrize("fill", [0.0, np.inf])
def test_old_rows_are_kept_and_new_rows_are_filled(fill: float) -> None:
    """The longer array has the old rows at its beginning, and the old array is not changed."""
    short = np.arange(6, dtype=np.float32).reshape(3, 2)
    longer = grown(short, 5, fill)
    assert longer.dtype == short.dtype
    assert np.array_equal(longer[:3], short)
    assert (longer[3:] == fill).all()
    longer[0] = 9
    assert short[0, 0] == 0

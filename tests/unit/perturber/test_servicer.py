"""The RPC between decoding and encoding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from queen_perturber.decode import read_flagged
from queen_perturber.metrics import PerturberMetrics
from queen_perturber.servicer import PERTURBER, PerturberServicer
from queen_perturber.turns import TurnLength, Turns

from queen.bundle import open_bundle
from queen.errors import BatchTooLarge
from queen.serving.metrics import Metrics
from tests.unit.perturber.flagged import FINGERPRINT, open_small, request_of


async def test_answers_travel_as_the_reversal_gives_them(tmp_path: Path) -> None:
    """The bytes of the response are those of the answers, and they are counted."""
    small, reversal = open_small(tmp_path)
    bundle, metrics = open_bundle(small.path), Metrics()
    own, request = PerturberMetrics(metrics), request_of(small, np.arange(40))
    with ThreadPoolExecutor(1) as compute:
        turns = Turns(reversal.answer, compute, TurnLength(), own, max_waiting=1)
        servicer = PerturberServicer(bundle, lambda: [FINGERPRINT], turns, own, 64)
        response = await servicer.Reverse(request, None)
        with pytest.raises(BatchTooLarge):
            await servicer.Reverse(request_of(small, np.arange(65)), None)
    flagged = read_flagged(request, bundle, 64, [FINGERPRINT])
    assert set(np.frombuffer(response.secrets, "<u4")) == {FINGERPRINT}
    assert response.probabilities == reversal.answer(flagged).tobytes()
    counted = [
        metrics.registry.get_sample_value("queen_answers_total", {"profile": name}) or 0
        for name in ("paper", "balanced", "strict")
    ]
    assert sum(counted) == 40


def test_the_service_has_the_name_of_its_proto() -> None:
    """Callers and probes know it by that name."""
    assert PERTURBER == "queen.api.v1.PerturberService"

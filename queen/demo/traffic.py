"""An account's traffic: its queries sent through gRPC, its reversals read from the metrics."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from queen.errors import DependencyUnavailable
from queen.oip_client import OipClient
from queen.redteam.datasets import Images


class DecisionMeter:
    """Reads the number of REVERSE verdicts from the /metrics of the sensitivity service."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}/metrics"

    def reversed(self) -> int:
        """REVERSE verdicts so far, over all accounts."""
        with urllib.request.urlopen(self._url, timeout=5) as reply:  # noqa: S310 - loopback http
            text = reply.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if (
                    sample.name == "queen_decisions_total"
                    and sample.labels["decision"] == "reverse"
                ):
                    return int(sample.value)
        raise DependencyUnavailable(f"{self._url}: expected queen_decisions_total, got none")


@dataclass(frozen=True, eq=False)
class Traffic:
    """The answers (Q, C) float32 to an account, and its reversals so far after each row (Q,)."""

    answers: NDArray[np.float32]
    reversals: NDArray[np.int64]

    @property
    def clean_prefix(self) -> int:
        """Answers before the first reversal."""
        return int((self.reversals == 0).sum())

    @property
    def reversed_fraction(self) -> float:
        """Share of the queries that got a REVERSE verdict."""
        return float(self.reversals[-1] / len(self.reversals))


def send(
    client: OipClient,
    queries: Images,
    meter: DecisionMeter,
    on_rows: Callable[[int], None],
    batch: int = 16,
) -> Traffic:
    """Send queries (Q, ...) in requests of `batch`, calling `on_rows` with the rows of each.

    Reversals are read between requests, so a prefix is exact to the length of a request.
    """
    start = meter.reversed()
    model = client.describe("")
    answers: list[NDArray[np.float32]] = []
    reversals: list[NDArray[np.int64]] = []
    for first in range(0, len(queries), batch):
        rows = queries[first : first + batch]
        answers.append(client.infer(model, rows))
        reversals.append(np.full(len(rows), meter.reversed() - start))
        on_rows(len(rows))
    return Traffic(np.concatenate(answers), np.concatenate(reversals))

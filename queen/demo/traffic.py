"""An account's traffic: its queries sent through gRPC, its reversals read from the metrics."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from queen.errors import DependencyUnavailable
from queen.oip_client import ModelDescription, OipClient
from queen.redteam.datasets import Images
from queen.redteam.targets.base import refusals
from queen.redteam.targets.endpoint import is_over_budget

_DECISIONS = "queen_decisions_total"


class DecisionMeter:
    """Reads the number of REVERSE verdicts from the /metrics of the sensitivity service."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}/metrics"

    def reversed(self) -> int:
        """REVERSE verdicts so far, over all accounts."""
        with urllib.request.urlopen(self._url, timeout=5) as reply:  # noqa: S310 - loopback http
            text = reply.read().decode()
        # The whole page takes far longer to parse than a request takes to answer.
        lines = (line for line in text.splitlines() if line.startswith(_DECISIONS))
        for family in text_string_to_metric_families("\n".join(lines)):
            for sample in family.samples:
                if sample.labels["decision"] == "reverse":
                    return int(sample.value)
        raise DependencyUnavailable(f"{self._url}: expected {_DECISIONS}, got none")


@dataclass(frozen=True, eq=False)
class Traffic:
    """The answers (Q, C) float32 to an account, and its reversals so far after each row (Q,).

    The answers to refused queries are NaN.
    """

    answers: NDArray[np.float32]
    reversals: NDArray[np.int64]

    @property
    def is_refused(self) -> NDArray[np.bool_]:
        """Whether each query was refused, (Q,)."""
        refused: NDArray[np.bool_] = np.isnan(self.answers[:, 0])
        return refused

    @property
    def reversed(self) -> int:
        """Queries that were reversed or refused."""
        reversals = np.diff(self.reversals, prepend=0)
        return int(np.where(self.is_refused, 1, 0).sum() + reversals[~self.is_refused].sum())

    @property
    def clean_prefix(self) -> int:
        """Queries before the first reversal or refusal."""
        is_hit = (self.reversals > 0) | self.is_refused
        return int(is_hit.argmax()) if is_hit.any() else len(is_hit)


def send(
    client: OipClient,
    queries: Images,
    meter: DecisionMeter | None,
    on_rows: Callable[[int], None],
    batch: int = 16,
) -> Traffic:
    """Send queries (Q, ...) in requests of `batch`, calling `on_rows` with the rows of each.

    Reversals are read between requests, so a prefix is exact to the length of a request. Without a
    meter none are counted.
    """
    count = meter.reversed if meter is not None else lambda: 0
    start = count()
    model = client.describe("")
    answers: list[NDArray[np.float32]] = []
    reversals: list[NDArray[np.int64]] = []
    for first in range(0, len(queries), batch):
        rows = queries[first : first + batch]
        answers.append(_answers(client, model, rows))
        reversals.append(np.full(len(rows), count() - start))
        on_rows(len(rows))
    return Traffic(np.concatenate(answers), np.concatenate(reversals))


def _answers(client: OipClient, model: ModelDescription, rows: Images) -> NDArray[np.float32]:
    try:
        return client.infer(model, rows)
    except grpc.RpcError as error:
        if not is_over_budget(error):
            raise
        return refusals(len(rows), len(model.class_names))

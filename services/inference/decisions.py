"""The decision record: why each query was answered as it was, for the operator alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from queen.errors import DependencyUnavailable
from queen.method.contracts import Profile
from queen.method.ledger import Cause, Verdict
from queen.serving.logging import logger

from .batching import Pending
from .clients import Assessed


class DecisionLog:
    """One line per request: of all, of those with a flagged query, or none."""

    def __init__(
        self,
        which: Literal["off", "flagged", "all"],
        bundle_digest: str,
        default_profile: Profile,
    ) -> None:
        self._which = which
        self._log = logger("decisions").bind(bundle=bundle_digest)
        self._default_profile = default_profile

    def record(
        self, batch: Sequence[Pending], labels: NDArray[np.int64], assessed: Assessed
    ) -> None:
        """Write the records of a micro-batch that was assessed."""
        if self._which == "off":
            return
        is_flagged = assessed.verdicts == Verdict.REVERSE
        if self._which == "flagged" and not is_flagged.any():
            return
        start = 0
        for pending in batch:
            rows = slice(start, start + pending.rows)
            start = rows.stop
            if self._which == "all" or is_flagged[rows].any():
                self._write(pending, rows, labels, assessed)

    def record_unassessed(
        self, batch: Sequence[Pending], mode: str, error: DependencyUnavailable
    ) -> None:
        """Write the records of a micro-batch that got no verdict; only where all are wanted."""
        if self._which != "all":
            return
        for pending in batch:
            self._log.info(
                "unassessed", **self._about(pending), failure_mode=mode, problem=str(error)
            )

    def _write(
        self, pending: Pending, rows: slice, labels: NDArray[np.int64], assessed: Assessed
    ) -> None:
        self._log.info(
            "decision",
            **self._about(pending),
            **{
                "class": labels[rows].tolist(),
                "verdict": [Verdict(number).name for number in assessed.verdicts[rows].tolist()],
                "d": _rounded(assessed.distances[rows]),
                "sqs": _rounded(assessed.sqs[rows]),
                "cqs_before": _rounded(assessed.cqs_before[rows]),
                "cqs_after": _rounded(assessed.cqs_after[rows]),
                "cause": [_cause(bits) for bits in assessed.causes[rows].tolist()],
            },
        )

    def _about(self, pending: Pending) -> dict[str, Any]:
        profile = pending.account.profile or self._default_profile
        return {
            "account_hash": pending.account.hash,
            "profile": profile.value,
            "rows": pending.rows,
        }


def _cause(bits: int) -> str:
    """Names of the causes in `bits`, for example GROUP or ACCOUNT|OFF_DISTRIBUTION."""
    return "|".join(cause.name or "" for cause in Cause if cause & bits)


def _rounded(values: NDArray[np.float32]) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]

"""The crossing policies that decision records state, as thresholds of the bundle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.errors import ConfigError, DecisionLogInvalid
from queen.method.crossing import UNSTATED, CrossingPolicy, PolicyThresholds, policy_thresholds
from queen.method.facts import POLICIES
from queen.method.geometry import FloatArray
from queen.replay.chunks import Chunk
from queen.replay.report import ReplayReport


class RowLimits(NamedTuple):
    """The limits of the ledgers that B queries reach."""

    thresholds: FloatArray
    """T, (B,)."""
    caps: FloatArray
    """Cqs above which the owner is over whatever its other classes hold, (B,); infinite without."""
    needed: NDArray[np.int64]
    """Crossed classes at which the owner is over, (B,)."""

    @property
    def alone(self) -> FloatArray:
        """Cqs above which the ledger alone puts its owner over, (B,)."""
        return np.where(self.needed == 1, self.thresholds, self.caps)

    def select(self, rows: NDArray[np.integer]) -> RowLimits:
        """The limits of some of the queries, (R,)."""
        return RowLimits(self.thresholds[rows], self.caps[rows], self.needed[rows])


class StatedPolicies:
    """The thresholds of every policy in a log, computed once."""

    def __init__(self, bundle: Bundle, report: ReplayReport) -> None:
        self._geometry = bundle.geometry
        self._mean_squared_sqs = bundle.mean_squared_sqs
        self._report = report
        never = np.full(bundle.manifest.num_classes, np.inf)
        # A query without a group states no policy for one.
        nothing = PolicyThresholds(0, never, None, bundle.manifest.num_classes + 1)
        self._tables: dict[CrossingPolicy, PolicyThresholds] = {UNSTATED: nothing}

    def known(self, policy: CrossingPolicy) -> PolicyThresholds:
        """The thresholds of a policy that a chunk has stated."""
        return self._tables[policy]

    def limits(self, chunk: Chunk, prefix: str) -> RowLimits:
        """The limits of each query's ledger, of its account or, by `prefix`, of its group.

        Raises DecisionLogInvalid, with file and line, for a policy too large for this bundle.
        """
        stated = np.empty(len(chunk), POLICIES)
        for name in POLICIES.names or ():
            stated[name] = chunk.facts[f"{prefix}{name}"]
        distinct, first, index = np.unique(stated, return_index=True, return_inverse=True)
        pairs = zip(distinct.tolist(), first.tolist(), strict=True)
        tables = [self._table(chunk, CrossingPolicy(*policy), row) for policy, row in pairs]
        return RowLimits(
            np.stack([table.thresholds for table in tables])[index, chunk.labels],
            np.stack([caps_of(table) for table in tables])[index, chunk.labels],
            np.array([table.needed for table in tables])[index],
        )

    def _table(self, chunk: Chunk, policy: CrossingPolicy, row: int) -> PolicyThresholds:
        """The thresholds of a policy that the query `row` states."""
        if policy not in self._tables:
            try:
                table = policy_thresholds(self._geometry, self._mean_squared_sqs, policy)
            except ConfigError as error:
                request = chunk.request[row]
                file = self._report.files[chunk.files[request]]
                raise DecisionLogInvalid(f"{file}:{chunk.lines[request]}: {error}") from error
            self._tables[policy] = table
        return self._tables[policy]


def caps_of(table: PolicyThresholds) -> FloatArray:
    """The cap of each class, (C,), infinite without."""
    return np.full_like(table.thresholds, np.inf) if table.caps is None else table.caps

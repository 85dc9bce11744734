"""The secrets under which owners are answered: each keeps that of its first flagged query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.ledger import Verdict
from queen_sensitivity.engine.batch import Batch
from queen_sensitivity.engine.charging import Queries, exempt_rows
from queen_sensitivity.engine.recording import Recorder

_REVERSE = np.uint8(Verdict.REVERSE)


def keep_secrets(
    recorder: Recorder,
    batch: Batch,
    queries: Queries,
    verdicts: NDArray[np.uint8],
    is_over: NDArray[np.bool_],
) -> NDArray[np.uint32]:
    """Fingerprint of the secret of each query, (B,); 0 unless the perturber may answer it.

    It may if the query is REVERSE, or of an owner that is over: the front door has it answer all
    queries of such an owner, lest the time of an answer tell the verdict. `is_over` (N,) says so of
    the charges that count.

    The secret is kept with the ledgers of the account's group, or of the account without one, so
    that two accounts of a group are never answered under two secrets. It is kept for as long as
    `queries.secrets` holds it. All are 0 if no secret is held.
    """
    secrets = np.zeros(len(queries), np.uint32)
    is_keyed = np.array([policy.is_keyed for policy in queries.accounts], np.bool_)
    if not queries.secrets or not is_keyed.any():
        return secrets
    is_asked = batch.by_query(is_over)[: len(queries)] & (verdicts > 0) & ~exempt_rows(queries)
    is_asked |= verdicts == _REVERSE
    rows = (is_keyed[queries.account_index] & is_asked).nonzero()[0]
    if len(rows):
        owners = batch.circles()[rows]
        for owner in np.unique(owners).tolist():
            secrets[rows[owners == owner]] = recorder.keep_secret(batch, owner, queries.secrets)
    return secrets

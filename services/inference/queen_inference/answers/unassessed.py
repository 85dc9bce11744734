"""Labels without a verdict: the accounts that get them, and how many."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from queen.failures import Failure
from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from queen_inference.answers.allowance import Allowance
from queen_inference.answers.last_verdicts import LastVerdicts
from queen_inference.micro_batch import MicroBatch, Pending
from queen_inference.peers.sensitivity import NO_VERDICT, Assessed

_FREE = (Profile.SAFE, Profile.OBSERVE)
"""Profiles whose labels no verdict changes: an outage gives them nothing that they had not."""


class Unassessed:
    """Grants label-only answers while a peer is missing, and hears when it is back.

    An owner, a group or an account without one, gets so many rows while sensitivity is missing as
    `assessing` grants, and so many flagged rows while the perturber is as `reversing` does. An
    account under `refuse` gets any only if it is within its budget by the last of its verdicts.
    """

    def __init__(
        self, last_verdicts: LastVerdicts, assessing: Allowance, reversing: Allowance
    ) -> None:
        self._last_verdicts = last_verdicts
        self._assessing = assessing
        self._reversing = reversing
        self._is_store_away = False

    def grant(self, pending: Pending) -> bool:
        """Whether a request without a verdict gets its labels; they are counted if so."""
        account = pending.account
        if account.profile is Profile.REFUSE and not self._last_verdicts.is_known_within(account):
            return False
        return self._is_free(pending) or self._assessing.grant(pending.payer.owner, pending.rows)

    def grant_flagged(self, pending: Pending, rows: int) -> bool:
        """The same of a request with so many flagged rows that the perturber should answer."""
        return self._is_free(pending) or self._reversing.grant(pending.payer.owner, rows)

    def note(self, batch: MicroBatch, assessed: Assessed, late: Container[Pending]) -> None:
        """Hear the verdicts on a micro-batch; those on `late` requests came after an answer.

        While the ledger store is away, sensitivity decides from memory what changes no ledger.
        These verdicts end no count until one tells that something was recorded.
        """
        self._last_verdicts.note(batch, assessed)
        if (assessed.failures == Failure.STORE_AWAY).any():
            self._is_store_away = True
        elif (assessed.verdicts == Verdict.RECORD).any():
            self._is_store_away = False
        if self._is_store_away or not self._assessing:
            return
        is_known = assessed.verdicts != NO_VERDICT
        for request, rows in batch:
            if request not in late and np.all(is_known[rows]):
                self._assessing.renew(request.payer.owner)

    def note_reversed(self, owner: str) -> None:
        """Hear that the perturber has answered an owner's rows."""
        self._reversing.renew(owner)

    @staticmethod
    def _is_free(pending: Pending) -> bool:
        return pending.account.is_exempt or pending.account.profile in _FREE

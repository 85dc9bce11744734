"""The last verdicts on accounts under `refuse`, which tell whether they are over their budgets."""

from __future__ import annotations

from collections import OrderedDict

from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from queen_inference.micro_batch import MicroBatch
from queen_inference.peers.sensitivity import Assessed

MOST_ACCOUNTS = 1 << 16
"""Accounts that are remembered, those with the latest verdicts."""


class LastVerdicts:
    """Remembers of accounts under `refuse` what their last telling verdict was.

    REVERSE tells that an account is over its budget or off-distribution, by itself or with its
    group. RECORD tells that it was not: nothing is recorded from then on. PRESERVE tells neither,
    since an account over its budget gets it for its own records.
    """

    def __init__(self, most_accounts: int = MOST_ACCOUNTS) -> None:
        self._most_accounts = most_accounts
        self._is_within: OrderedDict[str, bool] = OrderedDict()

    def note(self, batch: MicroBatch, assessed: Assessed) -> None:
        """Remember the verdicts on a micro-batch; queries without a verdict tell nothing."""
        verdicts = assessed.verdicts.tobytes()
        for request, rows in batch:
            if request.account.profile is not Profile.REFUSE:
                continue
            told = verdicts[rows]
            if Verdict.REVERSE in told:
                self._keep(request.account.account_id, is_within=False)
            elif Verdict.RECORD in told:
                self._keep(request.account.account_id, is_within=True)

    def is_known_within(self, account: Account) -> bool:
        """Whether the last telling verdict found the account within its budget.

        False for an account without one. An exempt account is never refused.
        """
        return account.is_exempt or self._is_within.get(account.account_id, False)

    def _keep(self, account_id: str, *, is_within: bool) -> None:
        self._is_within[account_id] = is_within
        self._is_within.move_to_end(account_id)
        if len(self._is_within) > self._most_accounts:
            self._is_within.popitem(last=False)

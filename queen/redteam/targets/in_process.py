"""The deployment in one process: the services' own objects, and no network between them.

Protectee, front door, ledgers and shadow models are those that `queen up` starts, and so
are the messages between them; only the sockets are missing. A test holds both to the
same bytes. Shapes: Q queries, C classes.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from queen_inference.answers.answerer import Answerer, Policy
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, Pending
from queen_inference.peers.perturber import PerturberClient
from queen_inference.peers.sensitivity import SensitivityClient
from queen_inference.protectee import Outputs
from queen_inference.wiring import make_answerer
from queen_perturber.settings import PerturberSettings
from queen_perturber.wiring import open_service as open_perturber
from queen_sensitivity.settings import SensitivitySettings
from queen_sensitivity.wiring import open_service as open_sensitivity

from queen.bundle import open_bundle
from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers
from queen.redteam.targets.in_memory_service import InMemoryService, open_in_memory
from queen.redteam.targets.protectee import CachedProtectee
from queen.redteam.targets.traffic import Exchange, Traffic
from queen.serving.accounts import AccountEntry, AccountsFile
from queen.serving.auth import Account, Keyring
from queen.serving.metrics import Metrics

CHUNK_ROWS = 1024
"""Queries of one micro-batch; the answers do not depend on it."""
GROUP = "thieves"
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Defended:
    """What an operator deploys: a bundle, a profile, a budget and the perturber's secret.

    `grouped` puts every account into one group, as accounts of one customer.
    """

    bundle: Path
    profile: Profile
    budget: int
    secret: bytes
    grouped: bool = False


class InProcessTarget:
    """A fresh deployment with empty ledgers; a context manager.

    `traffic` is the evaluator's record; no attack gets to see it. Raises ConfigError for
    a budget that no class can spend.
    """

    def __init__(self, defended: Defended, protectee: CachedProtectee | None = None) -> None:
        self._defended = defended
        self._bundle = open_bundle(defended.bundle)
        self._protectee = protectee or CachedProtectee(self._bundle)
        self._decisions = _Decisions()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.traffic = Traffic()
        try:
            self._answerer = self._runner.run(self._wire())
        except BaseException:
            self.close()
            raise

    @property
    def num_classes(self) -> int:
        """C."""
        return self._bundle.manifest.num_classes

    def open_account(self, name: str) -> _InProcessAccount:
        """A fresh account of the profile, the budget and, if asked for, the group."""
        entry = AccountEntry(
            id=name,
            key_sha256=hashlib.sha256(name.encode()).hexdigest(),
            profile=self._defended.profile,
            budget=self._defended.budget,
            group=GROUP if self._defended.grouped else None,
        )
        keyring = Keyring(AccountsFile(accounts=[entry]), self._defended.profile)
        account = keyring.authenticate([("authorization", f"Bearer {name}")])
        return _InProcessAccount(self, account)

    def answer(self, account: Account, queries: Images) -> Answers:
        """Answers (Q, C) to one micro-batch of `account`, noted in `traffic`."""
        seen = self._protectee.run(queries)
        answers: Answers = self._runner.run(self._finish(account, queries, seen))
        self.traffic.exchanges.append(
            Exchange(account.account_id, answers, seen.probabilities, self._decisions.is_reversed)
        )
        return answers

    def close(self) -> None:
        """End the services' threads."""
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def _finish(self, account: Account, queries: Images, seen: Any) -> Answers:
        loop = asyncio.get_running_loop()
        pending = Pending(account, queries, np.inf, 0.0, loop.create_future())
        outputs = Outputs(seen.probabilities, seen.logits, seen.features, seen.embeddings)
        rest = await self._answerer.finish(MicroBatch.of([pending], queries, outputs))
        if rest is not None:
            await rest.work
        answers: Answers = await pending.answers
        return answers

    async def _wire(self) -> Answerer:
        """The front door's answerer over its two peers, as their own wirings make them."""
        defended = self._defended
        settings = SensitivitySettings(
            bundle=defended.bundle, state="memory", budget=defended.budget
        )
        sensitivity = await open_in_memory(self._stack, open_sensitivity, settings)
        with tempfile.TemporaryDirectory() as folder:
            secret = Path(folder) / "secret"
            secret.write_bytes(defended.secret)
            perturber = await open_in_memory(
                self._stack,
                open_perturber,
                PerturberSettings(bundle=defended.bundle, secret_file=secret, device="cpu"),
            )
        return self._front(sensitivity, perturber)

    def _front(self, sensitivity: InMemoryService, perturber: InMemoryService) -> Answerer:
        bundle = self._bundle
        policy = Policy(
            failure_mode="deny",
            assess_timeout_seconds=_PATIENCE_SECONDS,
            assess_patience_seconds=_PATIENCE_SECONDS,
            reverse_timeout_seconds=_PATIENCE_SECONDS,
            deadline_margin_seconds=0.0,
        )
        clients = (
            SensitivityClient(sensitivity, bundle.digest),
            PerturberClient(perturber, bundle.digest),
        )
        metrics = InferenceMetrics(Metrics())
        return make_answerer(bundle, policy, clients, self._decisions, metrics)


class _InProcessAccount:
    def __init__(self, target: InProcessTarget, account: Account) -> None:
        self._target = target
        self._account = account

    def ask(self, queries: Images) -> Answers:
        answers = [
            self._target.answer(self._account, queries[start : start + CHUNK_ROWS])
            for start in range(0, len(queries), CHUNK_ROWS)
        ]
        return np.concatenate([np.empty((0, self._target.num_classes), np.float32), *answers])


class _Decisions:
    """The front door's decision record, kept instead of logged."""

    def __init__(self) -> None:
        self.is_reversed: NDArray[np.bool_] = np.empty(0, bool)

    def record(self, _spans: Any, _labels: Any, assessed: Any, _outcomes: Any) -> None:
        self.is_reversed = assessed.verdicts == Verdict.REVERSE

    def record_unassessed(self, _batch: Any, _outcomes: Any, error: Exception) -> None:
        raise error

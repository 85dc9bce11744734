"""Queen in this process: the services' own objects, and no network between them.

Protectee, front door, ledgers and shadow models are those that `queen up` starts, and so
are the messages between them; only the sockets are missing. A test holds both to the
same bytes. Shapes: Q queries, C classes.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from queen_inference.answers.answerer import Answerer, Policy
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, Pending
from queen_inference.peers.perturber import PerturberClient
from queen_inference.peers.sensitivity import Assessed, SensitivityClient
from queen_inference.protectee import Outputs
from queen_inference.wiring import make_answerer
from queen_perturber.settings import PerturberSettings
from queen_perturber.wiring import open_service as open_perturber
from queen_sensitivity.settings import SensitivitySettings
from queen_sensitivity.wiring import open_service as open_sensitivity

from queen.bundle import Bundle, InputRange
from queen.defaults import BREADTH, CHARGE, CLASS_CAP
from queen.errors import OverBudget
from queen.method.contracts import Profile
from queen.method.crossing import cap_text
from queen.method.ledger import Verdict
from queen.method.sensitivity import Charge
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, LocalAccount, refusals
from queen.redteam.targets.in_memory_service import InMemoryService, open_in_memory
from queen.redteam.targets.protectee import CachedProtectee
from queen.redteam.targets.traffic import Exchange, Traffic
from queen.serving.auth import Account
from queen.serving.metrics import Metrics

GROUP = "thieves"
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class OperatorChoice:
    """The choices of an operator: profile, crossing policy, charge, and the perturber's secret.

    `grouped` puts every account into one group, as accounts of one customer.
    """

    profile: Profile
    budget: int
    secret: bytes
    grouped: bool = False
    breadth: int = BREADTH
    class_cap: int = CLASS_CAP
    charge: Charge = CHARGE


@contextmanager
def open_in_process(
    bundle: Bundle, choice: OperatorChoice, protectee: CachedProtectee
) -> Iterator[InProcessTarget]:
    """A fresh deployment of a bundle, with empty ledgers.

    Raises ConfigError for a budget or a class cap for which the regions have no room.
    """
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            peers = runner.run(_open_peers(stack, bundle, choice))
            decisions = KeptDecisions()
            answerer = _answerer(bundle, peers, decisions)
            target = InProcessTarget(runner, answerer, decisions, protectee, choice)
            target.input_range = bundle.manifest.input_range
            yield target
        finally:
            runner.run(stack.aclose())


class InProcessTarget:
    """The answers of a deployment; `traffic` is the evaluator's record, which no attack sees."""

    def __init__(
        self,
        runner: asyncio.Runner,
        answerer: Answerer,
        decisions: KeptDecisions,
        protectee: CachedProtectee,
        choice: OperatorChoice,
    ) -> None:
        self._runner = runner
        self._answerer = answerer
        self._decisions = decisions
        self._protectee = protectee
        self._choice = choice
        self.num_classes = protectee.num_classes
        self.input_range: InputRange | None = None
        self.traffic = Traffic()

    def open_account(self, name: str) -> LocalAccount:
        """A fresh account under the operator's choice; the same name is the same account."""
        account = Account(
            account_id=name,
            profile=self._choice.profile,
            hash=name,
            group=GROUP if self._choice.grouped else None,
        )
        return LocalAccount(partial(self.answer, account), self.num_classes)

    def answer(self, account: Account, queries: Images) -> Answers:
        """Answers (Q, C) to one micro-batch of `account`, kept in `traffic`.

        A query beyond the range of the inputs is refused without a verdict, as the front door does.
        """
        is_inside = np.ones(len(queries), np.bool_)
        if self.input_range is not None:
            is_inside = self.input_range.has_inside(queries)
        answers, own = (refusals(len(queries), self.num_classes) for _ in range(2))
        is_reversed = np.zeros(len(queries), np.bool_)
        if is_inside.any():
            asked = queries[is_inside]
            outputs = self._protectee.run(asked)
            answers[is_inside] = self._runner.run(self._finish(account, asked, outputs))
            own[is_inside] = outputs.probabilities
            is_reversed[is_inside] = self._decisions.is_reversed
        exchange = Exchange(account.account_id, answers, own, is_reversed)
        self.traffic.exchanges.append(exchange)
        return answers

    async def _finish(self, account: Account, queries: Images, outputs: Outputs) -> Answers:
        loop = asyncio.get_running_loop()
        requests = [
            Pending(account, part, np.inf, 0.0, loop.create_future())
            for part in _requests(account.profile, queries)
        ]
        for rest in await self._answerer.finish(MicroBatch.of(requests, queries, outputs)):
            await rest.work
        return np.concatenate([await self._answers(request) for request in requests])

    async def _answers(self, request: Pending) -> Answers:
        """The answers to a request, or the rows that stand for a refusal."""
        try:
            answers: Answers = await request.answers
        except OverBudget:
            return refusals(request.rows, self.num_classes)
        return answers


def _requests(profile: Profile, queries: Images) -> Sequence[Images]:
    """The requests in which a thief asks: a query each where a request is refused whole."""
    return np.split(queries, len(queries)) if profile is Profile.REFUSE else [queries]


@dataclass(frozen=True)
class _Peers:
    """The two services that the front door asks."""

    sensitivity: InMemoryService
    perturber: InMemoryService


async def _open_peers(stack: AsyncExitStack, bundle: Bundle, choice: OperatorChoice) -> _Peers:
    settings = SensitivitySettings(
        bundle=bundle.path,
        state="memory",
        budget=choice.budget,
        breadth=choice.breadth,
        class_cap=cap_text(choice.class_cap),
        charge=choice.charge,
    )
    sensitivity = await open_in_memory(stack, open_sensitivity, settings)
    # The perturber follows the file of its secret for as long as it runs.
    secret = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "secret"
    secret.write_bytes(choice.secret)
    perturber = await open_in_memory(
        stack,
        open_perturber,
        PerturberSettings(bundle=bundle.path, secret_file=secret, device="cpu"),
    )
    return _Peers(sensitivity, perturber)


def _answerer(bundle: Bundle, peers: _Peers, decisions: KeptDecisions) -> Answerer:
    """The front door's answerer, which waits for its peers without a limit."""
    policy = Policy(
        failure_mode="deny",
        assess_timeout_seconds=_PATIENCE_SECONDS,
        assess_patience_seconds=_PATIENCE_SECONDS,
        reverse_timeout_seconds=_PATIENCE_SECONDS,
        deadline_margin_seconds=0.0,
    )
    clients = (
        SensitivityClient(peers.sensitivity, bundle.digest),
        PerturberClient(peers.perturber, bundle.digest),
    )
    return make_answerer(bundle, policy, clients, decisions, InferenceMetrics(Metrics()))


class KeptDecisions:
    """The front door's decision record, kept for the evaluator instead of logged."""

    def __init__(self) -> None:
        self.is_reversed: NDArray[np.bool_] = np.empty(0, bool)

    def record(
        self, _spans: object, _labels: object, assessed: Assessed, _outcomes: object
    ) -> None:
        """Keep which rows of the micro-batch were reversed."""
        self.is_reversed = assessed.verdicts == Verdict.REVERSE

    def record_unassessed(self, _batch: object, _outcomes: object, error: Exception) -> None:
        """Raise the error: without a network every error is a mistake and must be seen."""
        raise error


def seeded_secret(name: str) -> bytes:
    """A perturber's secret that follows from a name, so that a run can be repeated."""
    return hashlib.sha256(f"queen redteam {name}".encode()).digest()

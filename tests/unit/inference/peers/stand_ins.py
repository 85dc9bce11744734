"""Stand-ins for the two peers: they do as a test tells them, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from queen_inference.peers.perturber import PERTURBER
from queen_inference.peers.sensitivity import Assessed, Share

from queen.api.v1 import perturber_pb2
from queen.errors import DependencyUnavailable
from queen.failures import Failure
from queen.method.facts import FACTS
from queen.method.ledger import Verdict
from tests.unit.inference.peers.remembering import RememberingPeer

SECRET = 7
"""Fingerprint of the secret of every owner that is over."""


class ToldSensitivity:
    """Gives the verdicts that it is told, PRESERVE for rows that nothing is told of.

    Rows that are `over` are of owners over their budgets: the perturber may answer them.
    `problem` takes the place of the answer, or of the verdicts on the rows `without`; rows with
    `failures` have no verdict either. It answers once `gate` is set, as it is at first.
    """

    def __init__(self) -> None:
        self.verdicts: dict[int, Verdict] = {}
        self.over: list[int] = []
        self.problem: DependencyUnavailable | None = None
        self.without: list[int] = []
        self.failures: dict[int, Failure] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def assess(self, share: Share, timeout_seconds: float) -> Assessed:  # noqa: ARG002 - it has all the time
        """Answer with the value that the test has set."""
        self.asked.set()
        await self.gate.wait()
        if self.problem is not None and not self.without:
            raise self.problem
        verdicts = np.array([self.verdicts.get(row, Verdict.PRESERVE) for row in share.rows], "u1")
        failures = np.array([self.failures.get(row, 0) for row in share.rows], "u1")
        verdicts[self.without] = 0
        verdicts[failures > 0] = 0
        nothing = np.zeros(len(share), np.float32)
        facts = np.zeros(len(share), FACTS)
        secrets = np.zeros(len(share), np.uint32)
        secrets[self.over] = SECRET
        return Assessed(verdicts, verdicts * 0, nothing, facts, secrets, failures, self.problem)


class ToldPerturber(RememberingPeer):
    """Answers every row with the same answer, or fails as it is told."""

    def __init__(self, answer: np.ndarray) -> None:
        super().__init__(PERTURBER)
        self.problem: DependencyUnavailable | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self._answer = answer.astype("<f4")

    async def call(self, method: Any, request: Any, timeout_seconds: float) -> Any:
        """Wait for the gate, then answer."""
        self.asked.set()
        await self.gate.wait()
        return await super().call(method, request, timeout_seconds)

    def answer(self, request: Any) -> perturber_pb2.ReverseResponse:
        """Answer with the value that the test has set."""
        if self.problem is not None:
            raise self.problem
        rows = len(request.profiles)
        answers = self._answer.tobytes() * rows
        return perturber_pb2.ReverseResponse(probabilities=answers, secrets=request.secrets)

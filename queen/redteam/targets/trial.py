"""A target on the ledgers of the service, where a function of yours answers reversed queries.

A trial tests an idea for a profile before the idea is built into the services. Shapes: B queries, C
classes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from queen_inference.protectee import Outputs
from queen_sensitivity.settings import SensitivitySettings
from queen_sensitivity.wiring import open_service as open_sensitivity

from queen.api.v1 import sensitivity_pb2, sensitivity_pb2_grpc
from queen.bundle import Bundle
from queen.defaults import BREADTH, CLASS_CAP
from queen.method.answers.label_preserving import preserve_label
from queen.method.answers.rounding import round_answers
from queen.method.crossing import cap_text
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, LocalAccount
from queen.redteam.targets.in_memory_service import open_in_memory
from queen.redteam.targets.protectee import CachedProtectee
from queen.redteam.targets.traffic import Exchange, Traffic
from queen.wire import tensor_bytes

AnswerReversed = Callable[[Images, Outputs], Answers]
"""Answers (B, C) to B reversed queries: their inputs (B, ...) and the protectee's outputs."""
AssessVerdicts = Callable[[sensitivity_pb2.AssessRequest], NDArray[np.uint8]]


@dataclass(frozen=True)
class Trial:
    """An answer to reversed queries; scope and crossing policy decide which queries those are."""

    answer: AnswerReversed
    scope: Scope
    budget: int
    breadth: int = BREADTH
    class_cap: int = CLASS_CAP


@contextmanager
def open_trial(trial: Trial, bundle: Bundle, protectee: CachedProtectee) -> Iterator[TrialTarget]:
    """A target with empty ledgers; ConfigError for a budget for which the regions have no room."""
    settings = SensitivitySettings(
        bundle=bundle.path,
        state="memory",
        budget=trial.budget,
        breadth=trial.breadth,
        class_cap=cap_text(trial.class_cap),
    )
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            service = runner.run(open_in_memory(stack, open_sensitivity, settings))
            stub = sensitivity_pb2_grpc.SensitivityServiceStub(service)

            def assess(request: sensitivity_pb2.AssessRequest) -> NDArray[np.uint8]:
                response = runner.run(stub.Assess(request))
                return np.frombuffer(response.verdicts, np.uint8)

            yield TrialTarget(trial, bundle, protectee, assess)
        finally:
            runner.run(stack.aclose())


class TrialTarget:
    """A protectee under a trial; `traffic` is the evaluator's record, which no attack sees."""

    def __init__(
        self, trial: Trial, bundle: Bundle, protectee: CachedProtectee, assess: AssessVerdicts
    ) -> None:
        self._trial = trial
        self._bundle = bundle
        self._protectee = protectee
        self._assess = assess
        self.traffic = Traffic()

    @property
    def num_classes(self) -> int:
        """C."""
        return self._bundle.manifest.num_classes

    def open_account(self, name: str) -> LocalAccount:
        """An account with a ledger of its own."""
        return LocalAccount(partial(self.answer, name), self.num_classes)

    def answer(self, name: str, queries: Images) -> Answers:
        """Answers (B, C) to one batch of the account of that name."""
        outputs = self._protectee.run(queries)
        is_reversed = self._verdicts(name, outputs) == Verdict.REVERSE
        answers = round_answers(preserve_label(self._bundle.head, outputs.logits, outputs.features))
        if is_reversed.any():
            answers[is_reversed] = self._trial.answer(
                queries[is_reversed], outputs.part(is_reversed)
            )
        self.traffic.exchanges.append(Exchange(name, answers, outputs.probabilities, is_reversed))
        return answers

    def _verdicts(self, name: str, outputs: Outputs) -> NDArray[np.uint8]:
        labels = outputs.logits.argmax(axis=1)
        policy = sensitivity_pb2.AccountPolicy(
            account_id=name, scope=sensitivity_pb2.Scope.Name(self._trial.scope)
        )
        request = sensitivity_pb2.AssessRequest(
            bundle_digest=self._bundle.digest,
            accounts=[policy],
            account_index=tensor_bytes(np.zeros(len(labels)), "<u4"),
            labels=tensor_bytes(labels, "<i4"),
            embeddings=tensor_bytes(outputs.embeddings),
        )
        return self._assess(request)

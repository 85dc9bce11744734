"""Load on a stage from several accounts and connections, and all that it got back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle

import grpc
import numpy as np

from queen.api.oip import open_inference_pb2_grpc
from queen.api.v1 import sensitivity_pb2 as pb
from queen.api.v1 import sensitivity_pb2_grpc
from queen.method.ledger import Verdict
from tests.chaos.queries import Array, Asked, Labels, Questions
from tests.chaos.stage import GROUPS, SPENT_BUDGET, Stage
from tests.integration.inference.door import raw_request

DEADLINE_SECONDS = 2.5
HASTY_SECONDS = 0.3
ASSESS_SECONDS = 1.0
DOOR_CALLERS = (
    ("shared-0", "lone-0", "lone-1"),
    ("shared-1", "lone-2", "lone-3"),
    *(("spent",), ("pair-0",), ("pair-1",)),
)
"""Accounts that each caller at the front door asks for in turn: enough for every replica."""
REPLICA_ACCOUNTS = ("shared-0", "shared-1", "direct-0", "direct-1")
"""Accounts whose queries go to any replica, beside those that the front door sends."""
EVERY_ACCOUNT = tuple(dict.fromkeys((*REPLICA_ACCOUNTS, *chain(*DOOR_CALLERS), "hasty")))
_LONGEST_PAUSE = 0.03


@dataclass(frozen=True, eq=False)
class Answer:
    """A request at the front door and its end.

    `kind` is `verdict`, `protect`, `clean` or the name of a gRPC code; times are in
    seconds, `at` of the monotonic clock at the end.
    """

    account: str
    asked: Asked
    kind: str
    at: float
    seconds: float
    deadline_seconds: float
    detail: str = ""

    @property
    def is_hasty(self) -> bool:
        """Whether its deadline leaves less time than a verdict may need."""
        return self.deadline_seconds < DEADLINE_SECONDS


@dataclass(frozen=True, eq=False)
class Acknowledged:
    """A record that an Assess reported, with the cqs of its ledger behind it."""

    account: str
    label: int
    record: bytes
    cqs_after: float
    replica: int


@dataclass
class Told:
    """All answers and errors that the load got."""

    answers: list[Answer] = field(default_factory=list)
    records: list[Acknowledged] = field(default_factory=list)
    assess_errors: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Exceptions in the load itself, which no fault excuses."""


class Assessor:
    """Asks a replica for verdicts as a front door would, past every proxy."""

    def __init__(self, address: str, replica: int, questions: Questions, told: Told) -> None:
        self._channel = _channel(address)
        self._stub = sensitivity_pb2_grpc.SensitivityServiceStub(self._channel)
        self._replica = replica
        self._questions = questions
        self._told = told

    def ask(self, account: str, labels: Labels, embeddings: Array) -> pb.AssessResponse | None:
        """Verdicts on queries (B,), (B, E) of an account; None, counted, if there are none."""
        group = GROUPS.get(account, "")
        budget = SPENT_BUDGET if account == "spent" else 0
        policy = pb.AccountPolicy(account_id=account, budget=budget, group=group)
        request = pb.AssessRequest(
            bundle_digest=self._questions.digest,
            accounts=[policy],
            account_index=np.zeros(len(labels), "<u4").tobytes(),
            labels=labels.astype("<i4").tobytes(),
            embeddings=embeddings.tobytes(),
            with_facts=True,
        )
        try:
            answer: pb.AssessResponse = self._stub.Assess(request, timeout=ASSESS_SECONDS)
        except grpc.RpcError as error:
            self._told.assess_errors.append(error.code().name)
            return None
        if group:
            # Its RECORD may be the group's, and says nothing certain of either.
            return answer
        verdicts = np.frombuffer(answer.verdicts, np.uint8)
        after = np.frombuffer(answer.facts.cqs_after, "<f8")
        self._told.records += [
            Acknowledged(
                account,
                int(labels[row]),
                embeddings[row].tobytes(),
                float(after[row]),
                self._replica,
            )
            for row in np.flatnonzero(verdicts == Verdict.RECORD)
        ]
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


class Load:
    """Threads that ask until they are stopped; `told` grows meanwhile."""

    def __init__(self, stage: Stage, questions: Questions, seed: int, told: Told) -> None:
        self.told = told
        self._stage = stage
        self._questions = questions
        self._stop = threading.Event()
        callers = [(accounts, DEADLINE_SECONDS) for accounts in DOOR_CALLERS]
        callers.append((("hasty",), HASTY_SECONDS))
        self._threads = [
            self._thread(self._ask_door, seed + index, *caller)
            for index, caller in enumerate(callers)
        ]
        self._threads += [self._thread(self._ask_replicas, seed + 50 + index) for index in range(2)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, once the calls under way have ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()

    def _thread(self, work: Callable[..., None], seed: int, *words: object) -> threading.Thread:
        def run() -> None:
            try:
                work(np.random.default_rng(seed), *words)
            except Exception as error:  # noqa: BLE001 - reported by the scenario
                self.told.broken.append(repr(error))

        return threading.Thread(target=run, daemon=True)

    def _ask_door(self, rng: np.random.Generator, accounts: Sequence[str], deadline: float) -> None:
        with _channel(self._stage.door.address) as channel:
            stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            for account in cycle(accounts):
                if self._stop.is_set():
                    return
                asked = self._questions.at_the_door(rng, int(rng.integers(1, 5)))
                self.told.answers.append(_ask(stub, account, asked, deadline))
                self._rest(rng)

    def _ask_replicas(self, rng: np.random.Generator) -> None:
        assessors = assessors_of(self._stage, self._questions, self.told)
        classes = self._questions.geometry.num_classes
        while not self._stop.is_set():
            labels = rng.integers(classes, size=int(rng.integers(1, 5)))
            embeddings = self._questions.inside(rng, labels)
            account = REPLICA_ACCOUNTS[int(rng.integers(len(REPLICA_ACCOUNTS)))]
            assessors[int(rng.integers(len(assessors)))].ask(account, labels, embeddings)
            self._rest(rng)
        for assessor in assessors:
            assessor.close()

    def _rest(self, rng: np.random.Generator) -> None:
        self._stop.wait(_LONGEST_PAUSE * float(rng.random()))


def assessors_of(stage: Stage, questions: Questions, told: Told) -> Sequence[Assessor]:
    """An assessor for each replica."""
    return [
        Assessor(replica.address, index, questions, told)
        for index, replica in enumerate(stage.replicas)
    ]


def _ask(
    stub: open_inference_pb2_grpc.GRPCInferenceServiceStub,
    account: str,
    asked: Asked,
    deadline: float,
) -> Answer:
    started = time.monotonic()
    key = (("authorization", f"Bearer key-of-{account}"),)
    try:
        response = stub.ModelInfer(raw_request(asked.inputs), metadata=key, timeout=deadline)
        shape = tuple(response.outputs[0].shape)
        answers = np.frombuffer(response.raw_output_contents[0], "<f4").reshape(shape)
        kind = asked.kind_of(answers)
        detail = ""
    except grpc.RpcError as error:
        kind, detail = error.code().name, error.details() or ""
    ended = time.monotonic()
    return Answer(account, asked, kind, ended, ended - started, deadline, detail)


def _channel(address: str) -> grpc.Channel:
    options = [
        # Each caller has a connection of its own, and is back soon after its server is.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
    ]
    return grpc.insecure_channel(address, options)

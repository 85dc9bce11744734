"""A served model as the target of an attack, with an account for each API key.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

import grpc
import numpy as np
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from queen.errors import ConfigError, OutOfRange, OverBudget
from queen.oip_client import ModelDescription, OipClient
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, refusals
from queen.serving.status import reason_in

ATTEMPTS = 8
"""Most attempts to send a batch; the waits between are 0.1, 0.2, 0.4, ... seconds, at most 2."""


class EndpointTarget:
    """Any server that speaks the Open Inference Protocol, at `endpoint` (host:port).

    Accounts get the `keys` in the order in which they are opened. Queries are sent in
    batches of `batch`. A batch that was refused for want of room is sent again after a `sleep`, one
    of an account over its budget, or with numbers beyond the range of the inputs, in halves. The
    server's class names tell C; `num_classes` tells it for a server without them. Raises
    ConfigError without a key; errors of the server arrive as grpc.RpcError.
    """

    def __init__(
        self,
        endpoint: str,
        keys: Sequence[str],
        batch: int = 64,
        *,
        num_classes: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not keys:
            raise ConfigError("expected at least 1 API key, got none")
        self._endpoint, self._keys, self._batch = endpoint, tuple(keys), batch
        self._sleep = sleep
        self._accounts: dict[str, EndpointAccount] = {}
        self._open = ExitStack()
        with OipClient(endpoint, keys[0]) as client:
            self.model = client.describe("")
        self._num_classes = num_classes or len(self.model.class_names)

    @property
    def num_classes(self) -> int:
        """C; ConfigError if neither the server nor the caller tells it."""
        if not self._num_classes:
            raise ConfigError(f"expected class names of model '{self.model.name}', got none")
        return self._num_classes

    def open_account(self, name: str) -> EndpointAccount:
        """The account of the next key; the same name is the same account.

        Raises ConfigError if there are more names than keys.
        """
        if name not in self._accounts:
            opened = len(self._accounts)
            if opened == len(self._keys):
                raise ConfigError(
                    f"expected at most {opened} accounts, one for each key, got {opened + 1}"
                )
            client = self._open.enter_context(OipClient(self._endpoint, self._keys[opened]))
            self._accounts[name] = EndpointAccount(
                *(client, self.model, self._num_classes, self._batch, self._sleep)
            )
        return self._accounts[name]

    def close(self) -> None:
        """Close every account's connection."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class EndpointAccount:
    """The account of an API key."""

    def __init__(
        self,
        client: OipClient,
        model: ModelDescription,
        num_classes: int,
        batch: int,
        sleep: Callable[[float], None],
    ) -> None:
        self._client, self._model, self._num_classes = client, model, num_classes
        self._batch, self._sleep = batch, sleep

    def ask(self, queries: Images) -> Answers:
        """Probabilities (Q, C) for `queries` (Q, ...), in order, Q at least 1."""
        starts = range(0, len(queries), self._batch)
        answers = [self._ask_batch(queries[start : start + self._batch]) for start in starts]
        return np.concatenate(answers)

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        """Probabilities (Q, C) for `queries` (Q, ...) in one request; None without an answer.

        None means that the deadline passed, that the server had no room, or that it refused.
        """
        try:
            answers = self._client.infer(self._model, queries, timeout_seconds=seconds)
        except grpc.RpcError as error:
            if _is_exhausted(error) or _is_late(error) or is_refused(error):
                return None
            raise
        return answers.astype(np.float32, copy=False)

    def _ask_batch(self, queries: Images) -> Answers:
        retrying = Retrying(
            retry=retry_if_exception(_is_exhausted),
            wait=wait_exponential(multiplier=0.1, max=2),
            stop=stop_after_attempt(ATTEMPTS),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            answers = retrying(self._client.infer, self._model, queries)
        except grpc.RpcError as error:
            if not is_refused(error):
                raise
            return self._ask_halves(queries)
        return answers.astype(np.float32, copy=False)

    def _ask_halves(self, queries: Images) -> Answers:
        """Answers to a batch that was refused whole: a part of it may be answered."""
        if len(queries) == 1:
            return refusals(1, self._num_classes)
        half = len(queries) // 2
        return np.concatenate([self._ask_batch(queries[:half]), self._ask_batch(queries[half:])])


def _is_exhausted(error: BaseException) -> bool:
    """Whether the server had no room for now, and has charged nothing."""
    # A blocking call raises a grpc.RpcError that is the finished call as well.
    if not isinstance(error, grpc.Call) or is_over_budget(error):
        return False
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def is_over_budget(error: BaseException) -> bool:
    """Whether the account is over its budget, and its profile answers known queries alone."""
    return _reason_of(error) == OverBudget.reason


def is_refused(error: BaseException) -> bool:
    """Whether a query of the request is refused for good: over the budget, or beyond the range."""
    return _reason_of(error) in {OverBudget.reason, OutOfRange.reason}


def _reason_of(error: BaseException) -> str | None:
    return reason_in(error.trailing_metadata() or ()) if isinstance(error, grpc.Call) else None


def _is_late(error: BaseException) -> bool:
    return isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

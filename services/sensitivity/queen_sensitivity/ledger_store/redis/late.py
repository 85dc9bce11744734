"""A link to a Redis that did not answer yet when the service started."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from queen.errors import ConfigError, DependencyUnavailable
from queen.serving.logging import logger
from queen_sensitivity.ledger_store.redis.link import RedisLink
from queen_sensitivity.ledger_store.redis.scripts import Command


class LateLink:
    """A link that is opened, with all checks, by the first call that finds the servers there.

    Until then a call fails as one to a Redis that is gone. At most one in `pause_seconds` tries to
    open it; `clock` gives seconds. Safe from any thread.
    """

    def __init__(
        self,
        open_link: Callable[[], RedisLink],
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_link = open_link
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._link: RedisLink | None = None
        self._next_trial = -float("inf")
        self._problem = ""
        self._log = logger("ledger_store")

    @property
    def is_open(self) -> bool:
        """Whether the servers answered and passed all checks."""
        return self._link is not None

    def exchange(self, commands: Sequence[Command], **manner: Any) -> list[Any]:
        """See `RedisLink.exchange`; DependencyUnavailable while it cannot be opened."""
        return self.open().exchange(commands, **manner)

    def close(self) -> None:
        """Close all connections, if there are any."""
        if self._link is not None:
            self._link.close()

    def open(self) -> RedisLink:
        """The link, opened now if it is not yet; DependencyUnavailable if it cannot be.

        A server that fails a check is logged as an error: an operator has to mend it.
        """
        with self._lock:
            if self._link is None:
                self._link = self._try()
            return self._link

    def _try(self) -> RedisLink:
        if self._clock() < self._next_trial:
            raise DependencyUnavailable(self._problem)
        try:
            link = self._open_link()
        except (ConfigError, DependencyUnavailable) as error:
            self._next_trial = self._clock() + self._pause_seconds
            if str(error) != self._problem:
                self._problem = str(error)
                tell = self._log.error if isinstance(error, ConfigError) else self._log.warning
                tell("the ledger store cannot be opened", problem=self._problem)
            raise DependencyUnavailable(self._problem) from error
        self._log.warning("the ledger store is open")
        return link

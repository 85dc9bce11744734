"""Processes that are started, kept alive and stopped together."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from queen.cli.refusal import Refusal
from queen.cli.up.child import Child, ending
from queen.cli.up.signals import Signals

FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 10.0
SETTLED_SECONDS = 30.0
"""A process that served this long starts over with the first delay."""
POLL_SECONDS = 0.05


class Supervisor:
    """Starts children in groups, restarts those that die, stops all of them.

    `say` takes one line for the operator; `changed` is called when a restarted child
    serves again, with another process id.
    """

    def __init__(
        self,
        signals: Signals,
        say: Callable[[str], None],
        changed: Callable[[], None],
        *,
        start_seconds: float = 120.0,
        stop_seconds: float = 20.0,
    ) -> None:
        self._signals = signals
        self._say = say
        self._changed = changed
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._groups: list[Sequence[Child]] = []

    @property
    def children(self) -> list[Child]:
        """All children, in the order in which they were started."""
        return [child for group in self._groups for child in group]

    def start(self, group: Sequence[Child]) -> bool:
        """Start the children of a group together and wait until all serve.

        False if the operator asked to stop meanwhile. Raises Refusal, in the words of the
        child, if one ends or does not serve in time.
        """
        self._groups.append(group)
        for child in group:
            child.start()
        limit = time.monotonic() + self._start_seconds
        while not self._signals.stopping:
            serving = [self._serves(child, limit) for child in group]
            if all(serving):
                return True
            self._signals.wait(POLL_SECONDS)
        return False

    def watch(self) -> None:
        """Restart what dies, until the operator asks to stop."""
        while not self._signals.stopping:
            for child in self.children:
                self._tend(child)
            self._signals.wait(self._pause())

    def stop(self) -> bool:
        """Stop the groups, the last one first; True if no child had to be killed.

        A further request to stop ends the waiting.
        """
        asked = self._signals.count
        clean = [self._stop_group(group, asked) for group in reversed(self._groups)]
        return all(clean)

    def _serves(self, child: Child, limit: float) -> bool:
        if child.take_ready():
            return True
        if not child.is_running:
            raise _failure(child, child.last_words())
        if time.monotonic() > limit:
            raise _failure(child, f"it did not serve within {self._start_seconds:g} s")
        return False

    def _tend(self, child: Child) -> None:
        if not child.is_running:
            self._restart(child)
        elif not child.is_serving and child.take_ready():
            self._say(f"{child.name} serves again")
            self._changed()

    def _restart(self, child: Child) -> None:
        now = time.monotonic()
        if child.retry_at is None:
            if child.is_serving and now - child.started > SETTLED_SECONDS:
                child.failures = 0
            delay = min(FIRST_DELAY_SECONDS * 2**child.failures, LONGEST_DELAY_SECONDS)
            child.failures += 1
            child.retry_at = now + delay
            self._say(f"{child.name} {_why(child)}; starting it again in {delay:g} s")
        elif now >= child.retry_at:
            child.start()

    def _pause(self) -> float:
        busy = any(not child.is_serving or child.retry_at for child in self.children)
        return POLL_SECONDS if busy else 1.0

    def _stop_group(self, group: Sequence[Child], asked: int) -> bool:
        for child in group:
            child.send(signal.SIGTERM)
        limit = time.monotonic() + self._stop_seconds
        while any(child.is_running for child in group):
            if time.monotonic() > limit or self._signals.count > asked:
                return self._kill(group)
            self._signals.wait(POLL_SECONDS)
        return True

    def _kill(self, group: Sequence[Child]) -> bool:
        for child in group:
            if child.is_running:
                child.kill()
                self._say(f"{child.name} had not stopped yet and was killed")
        return False


def _why(child: Child) -> str:
    """How a child ended; with its words if it ended by itself."""
    code = child.exit_code
    if code is None or code < 0 or child.is_serving:
        return ending(code)
    return f"did not start ({child.last_words()})"


def _failure(child: Child, words: str) -> Refusal:
    # A negative code is a signal, which is no exit code for us.
    code = child.exit_code
    service = child.name.partition("-")[0]
    text = words.removeprefix("queen ").removeprefix(f"{service}: ")
    return Refusal(
        f"{child.name} did not start: {text} (log: {child.log})",
        exit_code=code if code is not None and code > 0 else 1,
    )

"""The secrets on which all perturbers agree.

A secret counts only while every perturber that serves holds it, so that an answer does not depend
on which of them is asked. While a rotation reaches them one after the other, they agree on the old
secret first and on both in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import Gauge

from queen.serving.logging import logger

_MEND = "give all perturbers the same secret files"


class Agreement:
    """The secrets that are held by all, by their fingerprints, and why there are none.

    The gauge `mixed` is 1 while perturbers serve that do not agree, and `held` counts the
    current secret, and those that retire. One address with two perturbers behind it
    tells one secret, then another, and then the first again: a secret that gave way to another
    without a time in which both were held is therefore not taken back.
    """

    def __init__(self, mixed: Gauge, held: Mapping[str, Gauge]) -> None:
        self.secrets: tuple[int, ...] = ()
        """Fingerprints that every perturber holds, the current one first."""
        self.problem = ""
        self._mixed = mixed
        self._held = held
        self._last: tuple[int, ...] = ()
        self._gone: set[int] = set()
        self._log = logger("secrets")

    def hear(self, told: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
        """The secrets on which the perturbers that serve agree, from what each endpoint tells."""
        common = _common([told[at] for at in sorted(told)])
        problem = self._problem_of(told, common)
        if problem != self.problem:
            self.problem = problem
            if problem:
                self._log.error("perturbers are refused", problem=problem)
        self._mixed.set(bool(problem))
        self.secrets = () if problem else common
        self._held["current"].set(len(self.secrets[:1]))
        self._held["retiring"].set(len(self.secrets[1:]))
        if self.secrets:
            self._follow(self.secrets)
        return self.secrets

    def _problem_of(self, told: Mapping[str, Sequence[int]], common: Sequence[int]) -> str:
        if told and not common:
            words = (f"{at} holds {_words(told[at])}" for at in sorted(told))
            return f"no secret that all perturbers hold: {'; '.join(words)}; {_MEND}"
        if self._gone.issuperset(common) and common and not set(common) & set(self._last):
            return (
                f"secret {_words(common)} came back after {_words(self._last)}: two perturbers "
                f"behind one address? {_MEND}; after a wanted change back restart the front door"
            )
        return ""

    def _follow(self, secrets: tuple[int, ...]) -> None:
        if secrets == self._last:
            return
        if self._last and not set(secrets) & set(self._last):
            self._gone.update(self._last)
            self._log.warning(
                "the secret was replaced without a retiring one: answers past the budget change",
                before=list(self._last),
            )
        self._gone.difference_update(secrets)
        self._last = secrets
        self._log.info("secrets in force", current=secrets[0], retiring=list(secrets[1:]))


def _common(told: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The fingerprints that are in all lists, in the order of the first."""
    if not told:
        return ()
    first, *others = told
    return tuple(name for name in first if all(name in other for other in others))


def _words(secrets: Sequence[int]) -> str:
    return " and ".join(map(str, secrets)) or "none"

"""Decision logs as the services write them: the engine's verdicts, the front door's lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from queen_inference.decisions.file import line_of
from queen_inference.decisions.log import DecisionLog, DecisionRecord
from queen_inference.decisions.shares import Shares
from queen_inference.micro_batch import Pending, Span
from queen_inference.peers.sensitivity import Assessed
from queen_sensitivity.engine.book import Limits
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import open_book
from queen_sensitivity.ledger_store import LedgerStore, MemoryLedgerStore
from queen_sensitivity.ledgers.account_cache import Recheck
from queen_sensitivity.servicer import encode_assessment

from queen.bundle import Bundle
from queen.method.contracts import Profile
from queen.method.crossing import CrossingPolicy, published
from queen.method.sensitivity import Charge
from queen.serving.auth import Account
from queen.serving.logging import account_hash
from queen.wire import read_facts

Row = tuple[int, int, float, float]
"""Account, class, angle, and distance from the cluster center in sensitive radii."""
_LOOP = asyncio.new_event_loop()
_LOOP.close()


class WrittenLog:
    """A sensitivity engine over a real store, and the log of the front door that asks it."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        budget: int = 12,
        crossing: CrossingPolicy | None = None,
        store: LedgerStore | None = None,
        charge: Charge = Charge.REGIONS,
    ) -> None:
        self.bundle = bundle
        self.records: list[DecisionRecord] = []
        self._store = store or MemoryLedgerStore()
        self._default = crossing or published(budget)
        self._charge = charge
        self._log = DecisionLog("all", bundle, self.records.append)
        self.restart()

    def restart(self) -> None:
        """Another engine over the same store."""
        limits = Limits.of_bundle(self.bundle, self._default, self._charge)
        self.book = open_book(limits, self._store, cached_accounts=1000, recheck=Recheck(0.0))

    def limit(self, bytes_per_minute: int) -> None:
        """From now on owners have shares of so many bytes, of a minute that does not end."""
        shares = Shares(None, bytes_per_minute, lambda: 0.0)
        self._log = DecisionLog("all", self.bundle, self.records.append, shares)

    def close(self) -> None:
        """Write what the minute has left out."""
        self._log.close()

    def records_of(self, owner: str) -> int:
        """Records of an owner in the store, over all classes."""
        stored = self._store.load(owner, self.bundle.geometry.digest)
        classes = self.bundle.geometry.num_classes
        return sum(len(records) for label, records in stored.items() if label < classes)

    def erase(self, owner: str) -> None:
        """Erase an owner, as an operator would."""
        self._store.erase(owner, [self.bundle.geometry.digest], 1)

    def ask(self, policies: Sequence[AccountPolicy], rows: Sequence[Row]) -> Assessed:
        """Ask a micro-batch; neighboring rows of an account are one request."""
        owners = [row[0] for row in rows]
        present = sorted(set(owners))
        index = np.array([present.index(owner) for owner in owners])
        labels = np.array([row[1] for row in rows])
        embeddings = self._embeddings(rows, labels)
        queries = Queries([policies[one] for one in present], index, labels, embeddings, True)
        assessed = _through_the_wire(self.book.assess(queries), len(rows))
        self._log.record(_spans(policies, owners), labels, assessed, {})
        return assessed

    def lines(self) -> list[bytes]:
        """The lines of the log's file."""
        return [line_of(record) for record in self.records]

    def write(self, path: Path) -> Path:
        """The lines so far, as a file."""
        path.write_bytes(b"".join(self.lines()))
        return path

    def _embeddings(self, rows: Sequence[Row], labels: np.ndarray) -> np.ndarray:
        geometry = self.bundle.geometry
        angle, reach = np.array([row[2:] for row in rows]).T
        offset = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        offset *= (reach * geometry.sensitive_radius[labels])[:, None]
        return (geometry.cluster_centers[labels] + offset).astype(np.float32)


def _through_the_wire(assessment: Any, rows: int) -> Assessed:
    message = encode_assessment(assessment)
    verdicts, causes = (np.frombuffer(data, "u1") for data in (message.verdicts, message.causes))
    sqs = np.frombuffer(message.sqs, "<f4")
    facts, secrets = read_facts(message.facts, rows), np.frombuffer(message.secrets, "<u4")
    return Assessed(verdicts, causes, sqs, facts, secrets, np.zeros(rows, np.uint8))


def _spans(policies: Sequence[AccountPolicy], owners: Sequence[int]) -> list[Span]:
    spans, start = [], 0
    for place, owner in enumerate(owners, 1):
        if place == len(owners) or owners[place] != owner:
            policy = policies[owner]
            account = Account(
                policy.account_id,
                Profile.OBSERVE if policy.is_observed else Profile.PAPER,
                account_hash(policy.account_id),
                policy.group or None,
                policy.crossing,
                policy.group_crossing,
                policy.is_exempt,
            )
            inputs, answers = np.zeros((place - start, 1)), asyncio.Future(loop=_LOOP)
            spans.append((Pending(account, inputs, np.inf, 0.0, answers), slice(start, place)))
            start = place
    return spans

"""Verdicts on one query at a time, without a batch, a cache or an index."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy

from queen.method.crossing import CrossingPolicy, Thresholds
from queen.method.enforcement import Cause, Scope, repeat_radius
from queen.method.geometry import Geometry
from queen.method.ledger import LedgerLevels, LedgerRows, Owners, Verdict, assess_rows
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import (
    Charge,
    center_distances,
    cumulative_query_sensitivity,
    packing_limit,
)

REMEMBERED = 256


class Owner:
    """An account or group, as far as it is known."""

    def __init__(self, name: str = "") -> None:
        self.limits = 2 if name.startswith("group ") else 1
        self.records: dict[int, list[np.ndarray]] = {}
        self.cqs: dict[int, float] = {}
        self.level = 0.0
        self.is_off = False
        self.seen: list[tuple[float, ...]] = []

    def stored(self, label: int) -> np.ndarray:
        """Records of the owner in a class, (M, E)."""
        return np.array(self.records.get(label, []), np.float32).reshape(-1, 2)


class Oracle:
    """Decides on one query after the other, as ARCHITECTURE and the protos describe it."""

    def __init__(
        self,
        geometry: Geometry,
        thresholds: Thresholds,
        meter: OffDistributionMeter | None,
        charge: Charge = Charge.REGIONS,
    ) -> None:
        self._geometry, self._thresholds, self._meter = geometry, thresholds, meter
        self._charged_queries = charge
        self.owners: dict[str, Owner] = {}
        self._is_member_off = False

    def decide(
        self, policy: AccountPolicy, embedding: np.ndarray, label: int
    ) -> tuple[int, int, float]:
        """Verdict, causes, and cqs of the account's class after the query."""
        own = self.owners.setdefault(policy.account_id, Owner())
        nearest = nearest_distances(own.stored(label), embedding[None])[0]
        is_repeated = bool(nearest <= repeat_radius(self._geometry)[label])
        charged = [(policy.account_id, policy.crossing, Cause.ACCOUNT)]
        if policy.group:
            charged.append((f"group {policy.group}", policy.group_crossing, Cause.GROUP))
        if policy.scope is Scope.REPEATED and not policy.is_exempt:
            standing = [
                (self._is_over(owner, crossing), owner.is_off, cause)
                for name, crossing, cause in charged
                for owner in [self.owners.setdefault(name, Owner(name))]
            ]
            if any(is_over or is_off for is_over, is_off, _ in standing):
                return (*self._idle(standing, is_repeated), own.cqs.get(label, 0.0))
        was_off, steps = own.is_off, []
        for name, crossing, cause in charged:
            owner = self.owners.setdefault(name, Owner(name))
            self._is_member_off = was_off
            steps.append(self._charge(owner, crossing, cause, policy, embedding, label))
        causes = Cause(0)
        for _, found, _ in steps:
            causes |= found
        if policy.is_exempt and causes:
            return int(Verdict.PRESERVE), 0, steps[0][2]
        verdicts = [verdict for verdict, _, _ in steps]
        if policy.scope is Scope.REPEATED:
            verdicts = [1 if verdict == Verdict.REVERSE else verdict for verdict in verdicts]
        verdict = Verdict.REVERSE if causes else max(verdicts)
        return int(verdict), int(causes), steps[0][2]

    def _idle(self, standing: list[tuple[bool, bool, Cause]], is_repeated: bool) -> tuple[int, int]:
        """Verdict and causes of a query that changes nothing."""
        causes = Cause(0)
        for is_over, is_off, cause in standing:
            causes |= cause if is_over and not is_repeated else Cause(0)
            causes |= Cause.OFF_DISTRIBUTION if is_off else Cause(0)
        return int(Verdict.REVERSE if causes else Verdict.PRESERVE), int(causes)

    def _is_over(self, owner: Owner, crossing: CrossingPolicy) -> bool:
        limits = self._thresholds.of_policy(crossing)
        levels = np.array([owner.cqs.get(each, 0.0) for each in range(len(limits.thresholds))])
        is_capped = limits.caps is not None and bool((levels > limits.caps).any())
        return int((levels > limits.thresholds).sum()) >= limits.needed or is_capped

    def _charge(
        self,
        owner: Owner,
        crossing: CrossingPolicy,
        cause: Cause,
        policy: AccountPolicy,
        embedding: np.ndarray,
        label: int,
    ) -> tuple[int, Cause, float]:
        thresholds = self._thresholds.of_policy(crossing).thresholds
        level = owner.cqs.get(label, 0.0)
        is_over = self._is_over(owner, crossing)
        known = owner.stored(label)
        step = assess_rows(
            self._geometry,
            LedgerRows(embedding[None], np.array([label]), np.zeros(1, int)),
            nearest_distances(known, embedding[None]),
            LedgerLevels(
                np.array([level]),
                thresholds[[label]],
                # One row cannot put its owner over before itself.
                Owners(np.zeros(1, int), np.array([0 if is_over else 99]), None),
            ),
            self._charged_queries,
        )
        verdict = int(step.verdicts[0])
        if verdict == Verdict.RECORD:
            owner.records.setdefault(label, []).append(embedding)
            owner.cqs[label] = cumulative_query_sensitivity(
                self._geometry, owner.stored(label), label
            )
        is_spent = verdict == Verdict.REVERSE
        is_spent |= policy.scope == Scope.CLASS and level > thresholds[label] and is_over
        is_wide = policy.scope in {Scope.ACCOUNT, Scope.REPEATED}
        is_spent |= is_wide and is_over
        found = cause if is_spent else Cause(0)
        if is_wide and owner.is_off:
            found |= Cause.OFF_DISTRIBUTION
        if not is_over:
            self._walk(owner, embedding, label, level, verdict == Verdict.RECORD)
        return verdict, found, float(step.cqs_after[0])

    def _walk(
        self, owner: Owner, embedding: np.ndarray, label: int, cqs: float, is_recorded: bool
    ) -> None:
        meter = self._meter
        if meter is None or owner.is_off:
            return
        # Queries of an account that is off-distribution move no group's meter.
        is_mute = self._is_member_off and owner.limits > 1
        (distance,) = center_distances(self._geometry, embedding[None], np.array([label]))
        if distance <= meter.tail_distance[label]:
            is_inside = distance < self._geometry.sensitive_radius[label]
            if is_recorded and is_inside and not is_mute:
                owner.level = max(0.0, owner.level - meter.fall)
            return
        side = 0.2 * self._geometry.sensitive_radius[label]
        key = (label, *np.floor(embedding.astype(np.float64) / side).tolist())
        if key in owner.seen:
            owner.seen.remove(key)
        elif not is_mute:
            limit = packing_limit(self._geometry.alpha, 2)
            owner.level += meter.rise * max(0.0, 1 - cqs / limit) ** 2
            owner.is_off = owner.level >= owner.limits * meter.limit
        owner.seen = [*owner.seen, key][-REMEMBERED:]

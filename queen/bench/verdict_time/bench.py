"""Asks deployments as a thief would, and tells what the times of their answers tell of verdicts.

Three deployments serve the same accounts: one that holds no answers, for the control and for what
holding costs, one as it is by default, and one that holds the answers of every profile.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.bench.load import Server, build_requests, burst
from queen.bench.serve import read_inputs
from queen.bench.verdict_time.askings import (
    COVERED,
    OUTSIDE,
    OVER,
    PRESERVED,
    RECORDED,
    REVERSED,
    Oracle,
)
from queen.bench.verdict_time.contestant import Clock, Contestant
from queen.bench.verdict_time.guesses import auc_fastest, auc_one, auc_percentile
from queen.bundle import open_bundle
from queen.deployment import Deployment
from queen.errors import ConfigError
from queen.method.contracts import Profile

PROFILES = (Profile.PAPER, Profile.BALANCED, Profile.STRICT, Profile.SAFE, Profile.REFUSE)
DEPLOYMENTS = ("none", "reversed", "all")
"""The answers that each deployment holds: none for the control, by default, or all."""
CONTROL, DEFAULT, ALL = DEPLOYMENTS
MOST_ROUNDS = 40
IN_FLIGHT = (1, 32)
_COST_ROUNDS = 8
_CLASS_CAP = "off"
_PATIENCE_SECONDS = "30"
Deployments = Mapping[str, Deployment]


@dataclass(frozen=True)
class LeakOptions:
    """Answers are timed for `seconds`, then loads of `burst_seconds` tell what holding costs.

    `state` is an empty folder, and `profiles` are those to be timed beside the control.
    """

    bundle: Path
    data: Path
    state: Path
    seconds: float = 80.0
    burst_seconds: float = 0.25
    seed: int = 0
    profiles: Sequence[Profile] = PROFILES


def run_leak_bench(
    options: LeakOptions, on_progress: Callable[[float], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Rows {profile, deployment, auc_one, auc_fastest_of_8, ...}, the control first.

    `on_progress` is told the seconds of timing that have passed.
    """
    bundle = open_bundle(options.bundle)
    samples = read_inputs(options.data, bundle)
    name, tensor = bundle.manifest.model_name, bundle.manifest.input.name
    requests = build_requests(name, tensor, samples, 1)
    wire = [request.SerializeToString() for request in requests]

    def request_of(rows: NDArray[np.int64]) -> bytes:
        (request,) = build_requests(name, tensor, samples[rows], len(rows))
        return request.SerializeToString()

    entrants = [(CONTROL, Profile.PAPER), *((DEFAULT, profile) for profile in options.profiles)]
    entrants += [(ALL, profile) for profile in options.profiles if profile is Profile.REFUSE]
    with ExitStack() as stack:
        accounts = _write_accounts(options, Oracle(bundle, samples, Profile.PAPER))
        deployments = {
            which: stack.enter_context(_deployment(options, which, accounts))
            for which in sorted({which for which, _ in entrants}, key=DEPLOYMENTS.index)
        }
        clocks = {
            which: stack.enter_context(closing(Clock(running.endpoint, wire, request_of)))
            for which, running in deployments.items()
        }
        contestants = [
            (which, Contestant(profile, Oracle(bundle, samples, profile), clocks[which]))
            for which, profile in entrants
        ]
        for _, contestant in contestants:
            contestant.prepare()
        _play([contestant for _, contestant in contestants], options, on_progress)
        for which, running in deployments.items():
            _require_verdicts(
                running, [contestant for at, contestant in contestants if at == which]
            )
        costs = {
            contestant.profile: _costs(options, deployments, contestant, requests)
            for which, contestant in contestants
            if which == DEFAULT
        }
    return [
        {"profile": str(contestant.profile), "held": which}
        | figures(contestant)
        | (costs[contestant.profile] if which == DEFAULT else {})
        for which, contestant in contestants
    ]


def figures(contestant: Contestant) -> dict[str, Any]:
    """A row of the table: how far the times of a contestant tell kinds of queries apart.

    Under `refuse` the verdict is compared within the budget: a recorded query with the same kind of
    query asked again.
    """
    compared = contestant.rounds(REVERSED, PRESERVED)
    bursts = contestant.rounds(f"{REVERSED} in a burst", f"{PRESERVED} in a burst")
    names = [COVERED, RECORDED, OUTSIDE]
    compares = f"{RECORDED}, {COVERED}"
    if compared:
        names, compares = [PRESERVED, REVERSED, *names], f"{REVERSED}, {PRESERVED}"
    else:
        compared = contestant.rounds(RECORDED, COVERED)
    return {
        "compares": compares,
        "auc_one": auc_one(compared),
        "auc_fastest_of_8": auc_fastest(compared, 8),
        "auc_p10_of_40": auc_percentile(compared, 40, 10.0),
        "auc_in_burst": auc_one(bursts) if bursts else None,
        "auc_inside_outside": auc_one(contestant.rounds(RECORDED, OUTSIDE)),
        "auc_covered_outside": auc_one(contestant.rounds(COVERED, OUTSIDE)),
        "median_ms": {name: 1e3 * float(np.median(contestant.times(name))) for name in names},
        "askings": {name: len(contestant.times(name)) for name in names},
    }


def _play(
    contestants: Sequence[Contestant], options: LeakOptions, on_progress: Callable[[float], None]
) -> None:
    """Rounds of all contestants, each in another order, until the time is up."""
    rng, began = np.random.default_rng(options.seed), time.monotonic()
    for done in range(MOST_ROUNDS):
        for at in rng.permutation(len(contestants)).tolist():
            contestants[at].play(rng)
        on_progress(time.monotonic() - began)
        if (time.monotonic() - began) * (done + 2) / (done + 1) > options.seconds:
            break


def _require_verdicts(running: Deployment, contestants: Sequence[Contestant]) -> None:
    """ConfigError if the deployment has given other verdicts than those that were compared."""
    with urllib.request.urlopen(f"http://{running.metrics['sensitivity']}/metrics") as reply:
        text = reply.read().decode()
    given = dict(re.findall(r'^queen_decisions_total\{decision="(\w+)"\} (\S+)$', text, re.M))
    got = {name: int(float(given[name])) for name in ("record", "reverse")}
    expected = {
        "record": sum(contestant.records for contestant in contestants),
        "reverse": sum(contestant.reversals for contestant in contestants),
    }
    if got != expected:
        raise ConfigError(
            f"expected the verdicts {expected}, got {got}; set no settings in the environment, and "
            "run it on a machine that is not too busy to answer its own probes"
        )


def _costs(
    options: LeakOptions,
    deployments: Deployments,
    contestant: Contestant,
    requests: Sequence[oip.ModelInferRequest],
) -> dict[str, Any]:
    """The throughput of the account within its budget, over that where no answer is held."""
    covered = [requests[row] for row in contestant.covered]
    rows: dict[str, Any] = {}
    for in_flight, name in zip(IN_FLIGHT, ("cost_ratio_alone", "cost_ratio"), strict=True):
        ratios = []
        for done in range(_COST_ROUNDS):
            rates = {}
            for which in (CONTROL, DEFAULT) if done % 2 else (DEFAULT, CONTROL):
                server = Server(deployments[which].endpoint, contestant.within, ())
                load = burst(server, covered, in_flight=in_flight, seconds=options.burst_seconds)
                rates[which] = asyncio.run(load).requests_per_second
            ratios.append(rates[DEFAULT] / rates[CONTROL])
        rows[name] = median(ratios)
        rows[f"{name}_range"] = [min(ratios), max(ratios)]
    return rows


@contextmanager
def _deployment(options: LeakOptions, which: str, accounts: Path) -> Iterator[Deployment]:
    environment = {
        "QUEEN_INFERENCE_HELD_ANSWERS": which,
        # On a busy machine a late verdict would be another answer.
        "QUEEN_INFERENCE_ASSESS_TIMEOUT_SECONDS": _PATIENCE_SECONDS,
        "QUEEN_INFERENCE_REVERSE_TIMEOUT_SECONDS": _PATIENCE_SECONDS,
    }
    with Deployment(
        bundle=options.bundle,
        state=options.state / which,
        accounts=accounts,
        environment=environment,
    ) as running:
        yield running


def _write_accounts(options: LeakOptions, oracle: Oracle) -> Path:
    """The accounts of every profile, each with its name for a key."""
    entries = []
    for profile in PROFILES:
        new = [f"new-{profile}-{at}" for at in range(MOST_ROUNDS)]
        for name in (f"over-{profile}", f"within-{profile}", *new):
            budget, breadth, _ = OVER if name.startswith("over-") else oracle.within
            entries.append(
                {
                    "id": name,
                    "key_sha256": hashlib.sha256(name.encode()).hexdigest(),
                    "profile": str(profile),
                    "budget": budget,
                    "breadth": breadth,
                    "class_cap": _CLASS_CAP,
                }
            )
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = options.state / "accounts.yaml"
    path.write_text(yaml.safe_dump({"accounts": entries}))
    return path

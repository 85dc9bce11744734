"""Attacks on your own server, through gRPC, with the keys that a customer would have.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from queen.defaults import BREADTH, BUDGET, CLASS_CAP, PROFILE
from queen.errors import ConfigError
from queen.redteam.attacks import ATTACKS, Thief
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.datasets import Images
from queen.redteam.learner import LEARNER, train_piracy_model
from queen.redteam.networks import architecture_for, predict
from queen.redteam.plans.cell import QUEEN
from queen.redteam.report.report import Report, write_report
from queen.redteam.report.rows import Row, finite
from queen.redteam.runs.bundles import STEPS
from queen.redteam.runs.cache import DEFAULT_CACHE, Cache
from queen.redteam.runs.figures import share, traffic_figures
from queen.redteam.runs.simulation import Recipe, simulate
from queen.redteam.runs.thief_data import ThiefData, read_thief_data
from queen.redteam.targets.base import Answers, MeteredTarget
from queen.redteam.targets.endpoint import EndpointTarget
from queen.redteam.targets.recording import RecordingTarget
from queen.redteam.targets.traffic import Traffic


@dataclass(frozen=True)
class EndpointAttack:
    """The attacks on an endpoint that `queen redteam --endpoint` is asked for.

    `data` is an npz, see `read_thief_data`. An attack that knows the recipe simulates Queen
    under `profile`, `budget`, `breadth` and `class_cap`.
    """

    endpoint: str
    key_files: tuple[Path, ...]
    data: Path
    clean_key_file: Path | None = None
    attacks: tuple[str, ...] = ("knockoff",)
    queries: int | None = None
    seeds: tuple[int, ...] = (0,)
    profile: str = PROFILE.value
    budget: int = BUDGET
    breadth: int = BREADTH
    class_cap: int = CLASS_CAP
    out: Path = Path("build/redteam/endpoint")
    cache: Path = DEFAULT_CACHE
    command: str = "queen redteam"


def attack_endpoint(
    options: EndpointAttack, console: Console, clock: Callable[[], float] = time.perf_counter
) -> list[Row]:
    """Carry out the attacks one after the other and write the report; returns its rows.

    Every query is charged to the accounts of the keys, for good. Raises ConfigError for
    unusable data, keys or names; errors of the server arrive as grpc.RpcError.
    """
    torch.set_num_threads(1)
    keys = [read_key(file) for file in options.key_files]
    data = read_thief_data(options.data)
    rows: list[Row] = []
    jobs = [(attack, seed) for attack in options.attacks for seed in options.seeds]
    for attack in options.attacks:
        if attack not in ATTACKS:
            raise ConfigError(f"attack: expected one of {', '.join(ATTACKS)}, got {attack}")
    with Progress(console=console) as progress:
        task = progress.add_task("attacks", total=len(jobs))
        for attack, seed in jobs:
            started = clock()
            with EndpointTarget(options.endpoint, keys) as endpoint:
                target = RecordingTarget(endpoint)
                row = _attack(options, data, target, attack, seed)
            rows.append({**row, "seconds": round(clock() - started, 2)})
            progress.advance(task)
    left_out = "An endpoint tells neither its verdicts nor the answers of honest accounts."
    write_report(Report(rows, options.command, left_out), options.out, console)
    return rows


def read_key(file: Path) -> str:
    """The key in a file; ConfigError, without a letter of it, for an empty file."""
    key = file.read_text().strip()
    if not key:
        raise ConfigError(f"{file}: expected a key, got an empty file")
    return key


def _attack(
    options: EndpointAttack, data: ThiefData, target: RecordingTarget, attack: str, seed: int
) -> Row:
    thief = _thief(options, data, target.num_classes, seed)
    copy = ATTACKS[attack].steal(MeteredTarget(target, thief.queries), thief)
    traffic, own_test = _compare(options, data, target)
    return {
        "cell": f"{attack}-{seed}",
        "dataset": options.data.stem,
        "defense": "endpoint",
        "profile": None,
        "budget": None,
        "breadth": None,
        "class_cap": None,
        "attack": attack,
        "pool": options.data.name,
        "accounts": thief.accounts,
        "linked": False,
        "queries": thief.queries,
        "seed": seed,
        "members": 1,
        "learner": LEARNER,
        **_copy_figures(copy, data, own_test),
        "mean_l1": finite(traffic_figures(traffic)["mean_l1"]),
        **dict.fromkeys(_UNKNOWN),
        "honest_curve": [],
        "honest_by_kind": {},
        "queries_sent": target.traffic.queries,
        "note": None,
    }


_UNKNOWN = (
    *("reversed_fraction", "honest_kind", "honest_accuracy", "honest_flip_rate"),
    "honest_refused",
    *("clean_prefix_floor", "clean_prefix_queries", "label_only_floor"),
)
"""Figures that need the operator's side."""


def _thief(options: EndpointAttack, data: ThiefData, classes: int, seed: int) -> Thief:
    name = architecture_for(data.pool.shape[1:], classes)
    order = np.random.default_rng([seed, 3]).permutation(len(data.pool))

    def train(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        return train_piracy_model(name, *answered(queries, targets), seed=seed + 1009 * salt)

    recipe = Recipe(
        *(name, QUEEN, options.profile, options.budget, STEPS, seed),
        options.breadth,
        options.class_cap,
    )
    return Thief(
        dataset=name,
        pool=data.pool[order],
        queries=options.queries or len(data.pool),
        seed=seed,
        accounts=len(options.key_files),
        train=train,
        simulate=partial(simulate, Cache(options.cache), recipe),
    )


def _compare(
    options: EndpointAttack, data: ThiefData, target: RecordingTarget
) -> tuple[Traffic, Answers | None]:
    """The traffic beside the protectee's own answers, and those to the test set, if known."""
    if options.clean_key_file is None:
        return target.traffic, None
    with EndpointTarget(options.endpoint, [read_key(options.clean_key_file)]) as endpoint:
        account = endpoint.open_account("clean")
        traffic = target.compared_with(account)
        return traffic, None if data.test_x is None else account.ask(data.test_x)


def _copy_figures(
    copy: nn.Module, data: ThiefData, own_test: Answers | None
) -> dict[str, float | None]:
    if data.test_x is None:
        return {"clone_accuracy": None, "fidelity": None}
    labels = predict(copy, data.test_x)
    own = None if own_test is None else own_test.argmax(axis=1)
    return {
        "clone_accuracy": None if data.test_y is None else share(labels == data.test_y),
        "fidelity": None if own is None else share(labels == own),
    }

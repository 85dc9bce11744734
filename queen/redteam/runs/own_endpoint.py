"""An attack on a server of one's own, through gRPC, with keys as any customer has them.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.redteam.attacks import ATTACKS, Means
from queen.redteam.datasets import Images, Labels
from queen.redteam.networks import (
    architecture_for,
    predict,
    train_piracy_model,
)
from queen.redteam.report.report import Report, write_report
from queen.redteam.report.rows import Row, number
from queen.redteam.runs.cache import DEFAULT_CACHE, Cache
from queen.redteam.runs.measure import traffic_figures
from queen.redteam.targets.base import Account, Answers, MeteredTarget
from queen.redteam.targets.endpoint import EndpointAccount, EndpointTarget
from queen.redteam.targets.rehearsal import Recipe, rehearse
from queen.redteam.targets.traffic import Exchange, Traffic

_TEST_SHARE = 5
"""Of labelled images without a test set, one in so many is kept for the test."""


@dataclass(frozen=True)
class FieldOptions:
    """What to attack and with what.

    `data` is an npz: x (N, ...) the thief's images, and test_x, test_y to measure with;
    with y instead, a fifth of x is kept for the test. `profile` and `budget` are what an
    attack that rehearses the recipe takes the defence to be.
    """

    endpoint: str
    key_files: tuple[Path, ...]
    data: Path
    clean_key_file: Path | None = None
    attacks: tuple[str, ...] = ("knockoff",)
    queries: int | None = None
    seeds: tuple[int, ...] = (0,)
    profile: str = Profile.PAPER.value
    budget: int = 100
    out: Path = Path("build/redteam/endpoint")
    cache: Path = DEFAULT_CACHE
    command: str = "queen redteam"


@dataclass(frozen=True, eq=False)
class _Ground:
    """The thief's images (N, ...) and, where there are any, a test set (T, ...), (T,)."""

    pool: Images
    test_x: Images | None
    test_y: Labels | None


def attack_endpoint(options: FieldOptions, console: Console) -> list[Row]:
    """Carry out the attacks one after the other, write the report; its rows.

    Every query is charged to the accounts of the keys, for good. Raises ConfigError for
    unusable data, keys or names; errors of the server arrive as grpc.RpcError.
    """
    torch.set_num_threads(1)
    keys = [read_key(file) for file in options.key_files]
    ground = _read_ground(options.data)
    rows: list[Row] = []
    jobs = [(attack, seed) for attack in options.attacks for seed in options.seeds]
    for attack, _seed in jobs:
        if attack not in ATTACKS:
            raise ConfigError(f"attack: expected one of {', '.join(ATTACKS)}, got {attack}")
    with Progress(console=console) as progress:
        task = progress.add_task("attacks", total=len(jobs))
        for attack, seed in jobs:
            with EndpointTarget(options.endpoint, keys) as target:
                rows.append(_attack(options, ground, target, attack, seed))
            progress.advance(task)
    left_out = "An endpoint does not tell what it reversed, nor what an honest account gets."
    write_report(Report(rows, options.command, left_out), options.out, console)
    return rows


def read_key(file: Path) -> str:
    """The key in a file; ConfigError, without a letter of it, for an empty one."""
    key = file.read_text().strip()
    if not key:
        raise ConfigError(f"{file}: expected a key, got an empty file")
    return key


def _attack(
    options: FieldOptions, ground: _Ground, endpoint: EndpointTarget, attack: str, seed: int
) -> Row:
    started = time.perf_counter()
    target = _RecordingTarget(endpoint)
    queries = options.queries or len(ground.pool)
    means = _means(options, ground, target.num_classes, queries, seed)
    copy = ATTACKS[attack].steal(MeteredTarget(target, queries), means)
    own_test, traffic = None, target.traffic
    if options.clean_key_file is not None:
        key = read_key(options.clean_key_file)
        with EndpointTarget(options.endpoint, [key]) as clean:
            account = clean.open_account("clean")
            traffic = target.compared_with(account)
            own_test = None if ground.test_x is None else account.ask(ground.test_x)
    return {
        "cell": f"{attack}-{seed}",
        "dataset": options.data.stem,
        "defense": "endpoint",
        "profile": None,
        "budget": None,
        "attack": attack,
        "pool": options.data.name,
        "accounts": means.accounts,
        "linked": False,
        "queries": queries,
        "seed": seed,
        **_copy_figures(copy, ground, own_test),
        "mean_l1": number(traffic_figures(traffic)["mean_l1"]),
        **dict.fromkeys(_UNKNOWN),
        "honest_curve": [],
        "queries_sent": target.traffic.queries,
        "note": None,
        "seconds": round(time.perf_counter() - started, 2),
    }


_UNKNOWN = (
    *("reversed_fraction", "honest_accuracy", "honest_flip_rate"),
    *("clean_prefix_floor", "clean_prefix_queries", "label_only_floor"),
)
"""What only the operator's side can measure."""


def _means(options: FieldOptions, ground: _Ground, classes: int, limit: int, seed: int) -> Means:
    name = architecture_for(ground.pool.shape[1:], classes)
    order = np.random.default_rng([seed, 3]).permutation(len(ground.pool))

    def train(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        return train_piracy_model(name, queries, targets, seed=seed + 1009 * salt)

    recipe = Recipe(name, "queen", options.profile, options.budget, "steps", seed)
    return Means(
        dataset=name,
        pool=ground.pool[order],
        queries=limit,
        seed=seed,
        accounts=len(options.key_files),
        train=train,
        rehearse=partial(rehearse, Cache(options.cache), recipe),
    )


def _copy_figures(
    copy: nn.Module, ground: _Ground, own_test: Answers | None
) -> dict[str, float | None]:
    if ground.test_x is None:
        return {"clone_accuracy": None, "fidelity": None}
    labels = predict(copy, ground.test_x)
    accuracy = None if ground.test_y is None else float((labels == ground.test_y).mean())
    own = None if own_test is None else own_test.argmax(axis=1)
    return {
        "clone_accuracy": accuracy,
        "fidelity": None if own is None else float((labels == own).mean()),
    }


def _read_ground(file: Path) -> _Ground:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except ValueError as error:
        raise ConfigError(f"{file}: expected an npz of arrays, got something else") from error
    if "x" not in arrays:
        raise ConfigError(f"{file}: expected an array x of images, got {', '.join(arrays)}")
    pool = arrays["x"].astype(np.float32)
    if "test_x" in arrays:
        test_y = arrays.get("test_y")
        known = None if test_y is None else test_y.astype(np.int64)
        return _Ground(pool, arrays["test_x"].astype(np.float32), known)
    if "y" not in arrays:
        return _Ground(pool, None, None)
    held = np.random.default_rng(0).permutation(len(pool)) < len(pool) // _TEST_SHARE
    return _Ground(pool[~held], pool[held], arrays["y"].astype(np.int64)[held])


class _RecordingTarget:
    """A target that keeps what was asked, so that it can be compared afterwards."""

    def __init__(self, target: EndpointTarget) -> None:
        self._target = target
        self._asked: list[Images] = []
        self.traffic = Traffic()

    @property
    def num_classes(self) -> int:
        return self._target.num_classes

    def open_account(self, name: str) -> _RecordingAccount:
        return _RecordingAccount(self, name, self._target.open_account(name))

    def keep(self, name: str, queries: Images, answers: Answers) -> None:
        self._asked.append(queries)
        self.traffic.exchanges.append(Exchange(name, answers, None, None))

    def compared_with(self, clean: Account) -> Traffic:
        """The same traffic with the answers of an account that is not defended against."""
        return Traffic(list(self._compare(clean)))

    def _compare(self, clean: Account) -> Iterable[Exchange]:
        for queries, exchange in zip(self._asked, self.traffic, strict=True):
            yield Exchange(exchange.account, exchange.answers, clean.ask(queries), None)


class _RecordingAccount:
    def __init__(self, target: _RecordingTarget, name: str, account: EndpointAccount) -> None:
        self._target = target
        self._name = name
        self._account = account

    def ask(self, queries: Images) -> Answers:
        answers = self._account.ask(queries)
        self._target.keep(self._name, queries, answers)
        return answers

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        answers = self._account.ask_within(queries, seconds)
        if answers is not None:
            self._target.keep(self._name, queries, answers)
        return answers

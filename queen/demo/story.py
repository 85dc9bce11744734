"""The demo, act by act: train, fit, serve, send, steal, report."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from queen.bundle import open_bundle
from queen.demo import plots
from queen.demo.report import Curve, DemoReport, print_report
from queen.demo.scenario import Scenario, scenario_of
from queen.demo.traffic import DecisionMeter, Traffic, send
from queen.deployment import Deployment
from queen.fit import FitOptions, fit_bundle
from queen.oip_client import OipClient
from queen.redteam.datasets import Images, Split
from queen.redteam.networks import (
    accuracy,
    build_network,
    export_onnx,
    train_network,
    train_piracy_model,
)

PROFILE = "paper"
# Keys of throw-away accounts on loopback; the demo must not depend on a random one.
_KEYS = {name: f"demo-{name}-key" for name in ("honest", "heavy", "thief", "undefended")}


@dataclass(frozen=True)
class DemoOptions:
    """What `queen demo` was asked for; `budget` None takes the scenario's."""

    dataset: str = "digits"
    out: Path = Path("build/demo")
    data_dir: Path | None = None
    budget: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Sent:
    """The traffic of the four accounts."""

    honest: Traffic
    heavy: Traffic
    thief: Traffic
    undefended: Traffic
    test_truth: NDArray[np.float32]


def run_demo(options: DemoOptions, console: Console) -> DemoReport:
    """Run the whole demo into `options.out` and return what it found."""
    scenario = scenario_of(options.dataset)
    budget = options.budget or scenario.budget
    torch.set_num_threads(1)
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    split = scenario.load(options.seed, options.data_dir)
    with _progress(console) as progress:
        protectee = _train_protectee(scenario, split, options.seed, progress)
    bundle = _fit(scenario, split, protectee, options, budget, console)
    queries = scenario.draw_queries(
        split, scenario.thief_queries, np.random.default_rng(options.seed + 1)
    )
    with _progress(console) as progress:
        sent = _serve_and_send(scenario, split, queries, bundle, budget, options, progress)
        report = _steal(
            scenario, split, queries, sent, protectee, bundle, budget, options.seed, progress
        )
    report.write(out / "report.json")
    plots.draw_thief(report, out / "thief.png")
    plots.draw_honest(report, out / "honest.png")
    print_report(report, console)
    console.print(f"Written: {out / 'report.json'}, {out / 'thief.png'}, {out / 'honest.png'}")
    return report


def _train_protectee(
    scenario: Scenario, split: Split, seed: int, progress: Progress
) -> torch.nn.Module:
    task = progress.add_task("train the protectee", total=scenario.protectee_epochs)
    torch.manual_seed(seed)
    return train_network(
        build_network(scenario.dataset),
        split.train_x,
        split.train_y,
        epochs=scenario.protectee_epochs,
        seed=seed,
        on_epoch=lambda done, _all: progress.update(task, completed=done),
    )


def _fit(
    scenario: Scenario,
    split: Split,
    protectee: torch.nn.Module,
    options: DemoOptions,
    budget: int,
    console: Console,
) -> Path:
    """Export the protectee and its training data as an owner would have them, and fit."""
    model, data = options.out / f"{split.name}.onnx", options.out / f"{split.name}.npz"
    export_onnx(protectee, split.train_x, model)
    np.savez(data, x=split.train_x, y=split.train_y)
    # What the protectee never saw, for the benches and for a reader's own trials.
    np.savez(options.out / "pool.npz", x=split.pool_x)
    np.savez(options.out / "test.npz", x=split.test_x, y=split.test_y)
    bundle = options.out / "bundle"
    fit_bundle(
        FitOptions(
            model=model,
            data=data,
            out=bundle,
            name=split.name,
            class_names=list(split.class_names),
            shadows_on="features",
            shadow_steps=scenario.shadow_steps,
            budget=budget,
            seed=options.seed,
            replace=True,
        ),
        console=console,
    )
    shutil.copyfile(bundle / "report" / "embedding_map.png", options.out / "embedding_map.png")
    return bundle


def _serve_and_send(
    scenario: Scenario,
    split: Split,
    queries: Images,
    bundle: Path,
    budget: int,
    options: DemoOptions,
    progress: Progress,
) -> _Sent:
    """Start the three services on loopback and send every account's queries through them."""
    state = options.out / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    # A secret of the seed's, so that a second run gives the same figures.
    (state / "secret").write_bytes(hashlib.sha256(f"demo {options.seed}".encode()).digest())
    (state / "secret").chmod(0o600)
    deployment = Deployment(
        bundle=bundle, state=state, accounts=_write_accounts(state), profile=PROFILE, budget=budget
    )
    with deployment as running:
        meter = DecisionMeter(running.metrics["sensitivity"])

        def sends(name: str, what: str, rows: Images) -> Traffic:
            task = progress.add_task(what, total=len(rows))
            with OipClient(running.endpoint, _KEYS[name]) as client:
                return send(client, rows, meter, lambda n: progress.advance(task, n))

        return _Sent(
            honest=sends("honest", "honest account", split.test_x[: scenario.honest_queries]),
            heavy=sends("heavy", "heavy honest account", split.test_x),
            thief=sends("thief", "thief, defended", queries),
            undefended=sends("undefended", "thief, no defence", queries),
            test_truth=sends("undefended", "the protectee's own", split.test_x).answers,
        )


def _steal(
    scenario: Scenario,
    split: Split,
    queries: Images,
    sent: _Sent,
    protectee: torch.nn.Module,
    bundle: Path,
    budget: int,
    seed: int,
    progress: Progress,
) -> DemoReport:
    """Train the thief's copies and put everything into one report."""
    undefended, defended = sent.undefended.answers, sent.thief.answers
    one_hot = np.eye(undefended.shape[1], dtype=np.float32)[undefended.argmax(axis=1)]
    clean = sent.thief.clean_prefix
    copies = progress.add_task(
        "train the copies", total=scenario.piracy_seeds * (4 + 2 * len(scenario.milestones))
    )

    def copy(answers: NDArray[np.float32], count: int) -> float:
        scores = []
        for number in range(scenario.piracy_seeds):
            model = train_piracy_model(
                scenario.dataset, queries[:count], answers[:count], seed=seed + number
            )
            scores.append(accuracy(model, split.test_x, split.test_y))
            progress.advance(copies)
        return float(np.mean(scores))

    count = len(queries)
    all_undefended, all_defended = copy(undefended, count), copy(defended, count)
    milestones = [number for number in scenario.milestones if number < count]
    curve = Curve(
        queries=[*milestones, count],
        undefended=[*(copy(undefended, number) for number in milestones), all_undefended],
        defended=[*(copy(defended, number) for number in milestones), all_defended],
    )
    ordinary = scenario.honest_queries
    truth = sent.test_truth.argmax(axis=1)
    honest_labels = sent.honest.answers.argmax(axis=1)
    early = sent.honest.reversals == 0
    flipped = defended.argmax(axis=1) != undefended.argmax(axis=1)
    return DemoReport(
        dataset=scenario.dataset,
        profile=PROFILE,
        budget=budget,
        protectee_accuracy=accuracy(protectee, split.test_x, split.test_y),
        honest_accuracy=_share(honest_labels == split.test_y[:ordinary]),
        honest_queries=ordinary,
        honest_flips_before_budget=int((honest_labels != truth[:ordinary])[early].sum()),
        heavy_accuracy=_share(sent.heavy.answers.argmax(axis=1) == split.test_y),
        heavy_queries=len(split.test_x),
        heavy_reversed_fraction=sent.heavy.reversed_fraction,
        thief_queries=count,
        thief_accuracy_undefended=all_undefended,
        thief_accuracy_label_only=copy(one_hot, count),
        thief_accuracy_defended=all_defended,
        clean_prefix_floor=copy(defended, clean),
        clean_prefix_queries=clean,
        reversed_fraction=sent.thief.reversed_fraction,
        flip_fraction=_share(flipped),
        seed=seed,
        bundle_digest=open_bundle(bundle).digest,
        curve=curve,
        heavy_history=_history(sent.heavy.answers.argmax(axis=1) == split.test_y),
    )


def _history(correct: NDArray[np.bool_]) -> list[tuple[int, float]]:
    """Accuracy over consecutive eighths of an account's queries, by its middle query."""
    parts = np.array_split(np.arange(len(correct)), 8)
    return [(int(part.mean()), _share(correct[part])) for part in parts]


def _share(claims: NDArray[np.bool_]) -> float:
    return float(np.mean(claims))


def _write_accounts(state: Path) -> Path:
    accounts = [
        {
            "id": name,
            "key_sha256": hashlib.sha256(key.encode()).hexdigest(),
            **({"profile": "observe"} if name == "undefended" else {}),
        }
        for name, key in _KEYS.items()
    ]
    path = state / "accounts.yaml"
    path.write_text(yaml.safe_dump({"accounts": accounts}, sort_keys=False))
    return path


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )

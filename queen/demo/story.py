"""The demo from beginning to end: train, fit, serve, send, steal, report."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from queen.bundle import open_bundle
from queen.defaults import PROFILE
from queen.demo import plots
from queen.demo.accounts import Sent, serve_and_send
from queen.demo.copies import CopyAccuracies, count_copies, train_copies
from queen.demo.report import DemoReport, print_report
from queen.demo.scenario import Demo, DemoOptions, draw_demo
from queen.fit import FitOptions, fit_bundle
from queen.redteam.datasets import Labels
from queen.redteam.networks import Regime, accuracy, build_network, export_onnx, train_network


def run_demo(options: DemoOptions, console: Console) -> DemoReport:
    """Run the whole demo into `options.out`; returns its report."""
    torch.set_num_threads(1)
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    demo = draw_demo(options)
    with _progress(console) as progress:
        protectee = train_protectee(demo, progress)
    bundle = fit_demo(demo, protectee, console)
    with _progress(console) as progress:
        sent = serve_and_send(demo, bundle, progress)
        task = progress.add_task("train the copies", total=count_copies(demo))
        copies = train_copies(demo, sent, lambda: progress.advance(task))
    own_accuracy = accuracy(protectee, demo.split.test_x, demo.split.test_y)
    report = make_report(demo, sent, copies, own_accuracy, open_bundle(bundle).digest)
    report.write(out / "report.json")
    plots.draw_thief(report, out / "thief.png")
    plots.draw_honest(report, out / "honest.png")
    print_report(report, console)
    console.print(f"Written: {out / 'report.json'}, {out / 'thief.png'}, {out / 'honest.png'}")
    return report


def train_protectee(demo: Demo, progress: Progress) -> torch.nn.Module:
    """The classifier that the demo serves."""
    epochs = demo.scenario.protectee_epochs
    task = progress.add_task("train the protectee", total=epochs)
    torch.manual_seed(demo.seed)
    return train_network(
        build_network(demo.scenario.dataset),
        demo.split.train_x,
        demo.split.train_y,
        Regime(epochs, demo.seed),
        on_epoch=lambda done, _all: progress.update(task, completed=done),
    )


def fit_demo(demo: Demo, protectee: torch.nn.Module, console: Console) -> Path:
    """Export the protectee and its training data as an operator would have them, and fit."""
    split, out = demo.split, demo.out
    model, data, bundle = out / f"{split.name}.onnx", out / f"{split.name}.npz", out / "bundle"
    export_onnx(protectee, split.train_x, model)
    np.savez(data, x=split.train_x, y=split.train_y)
    # Data that the protectee never saw, for the benches and for a reader's own trials.
    np.savez(out / "pool.npz", x=split.pool_x, y=split.pool_y)
    np.savez(out / "test.npz", x=split.test_x, y=split.test_y)
    fit_bundle(
        FitOptions(
            model=model,
            data=data,
            out=bundle,
            name=split.name,
            class_names=list(split.class_names),
            shadows_on="features",
            shadow_steps=demo.scenario.shadow_steps,
            budget=demo.budget,
            seed=demo.seed,
            replace=True,
        ),
        console=console,
    )
    shutil.copyfile(bundle / "report" / "embedding_map.png", out / "embedding_map.png")
    return bundle


def make_report(
    demo: Demo, sent: Sent, copies: CopyAccuracies, own_accuracy: float, digest: str
) -> DemoReport:
    """The figures of the demo, from its traffic and the accuracies of the copies."""
    truth, ordinary = demo.split.test_y, demo.scenario.honest_queries
    honest = sent.honest.answers.argmax(axis=1)
    heavy_is_right = sent.heavy.answers.argmax(axis=1) == truth
    changed = honest != _labels(sent.own_test)[:ordinary]
    return DemoReport(
        dataset=demo.scenario.dataset,
        profile=PROFILE.value,
        budget=demo.budget,
        protectee_accuracy=own_accuracy,
        honest_accuracy=_share(honest == truth[:ordinary]),
        honest_queries=ordinary,
        honest_flips_before_budget=int(changed[sent.honest.reversals == 0].sum()),
        heavy_accuracy=_share(heavy_is_right),
        heavy_queries=len(truth),
        heavy_reversed_fraction=sent.heavy.reversed_fraction,
        thief_queries=len(demo.queries),
        thief_accuracy_undefended=copies.undefended,
        thief_accuracy_label_only=copies.label_only,
        thief_accuracy_defended=copies.defended,
        clean_prefix_floor=copies.clean_prefix,
        clean_prefix_queries=sent.thief.clean_prefix,
        reversed_fraction=sent.thief.reversed_fraction,
        flip_fraction=_share(_labels(sent.thief.answers) != _labels(sent.undefended.answers)),
        seed=demo.seed,
        bundle_digest=digest,
        curve=copies.curve,
        heavy_history=_history(heavy_is_right),
    )


def _labels(answers: NDArray[np.float32]) -> Labels:
    labels: Labels = answers.argmax(axis=1)
    return labels


def _history(is_right: NDArray[np.bool_]) -> list[tuple[int, float]]:
    """Accuracy over consecutive eighths of an account's queries, by its middle query."""
    parts = np.array_split(np.arange(len(is_right)), 8)
    return [(int(part.mean()), _share(is_right[part])) for part in parts]


def _share(claims: NDArray[np.bool_]) -> float:
    return float(np.mean(claims))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )

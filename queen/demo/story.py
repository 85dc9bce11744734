"""The demo from beginning to end: train, fit, serve, send, steal, report."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from queen import defaults
from queen.bundle import open_bundle
from queen.demo.accounts import Sent, serve_and_send
from queen.demo.copies import Copies, count_copies, train_copies
from queen.demo.plots import draw_demo_picture
from queen.demo.report import CustomerFigures, DemoReport, ThiefFigures, print_report
from queen.demo.scenario import Customer, Demo, DemoOptions, Thief, draw_demo
from queen.demo.traffic import Traffic
from queen.fit import FitOptions, fit_bundle
from queen.redteam.networks import Regime, accuracy, build_network, export_onnx, train_network
from queen.redteam.targets.base import Answers


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
        task = progress.add_task("train the thieves' copies", total=count_copies(demo))
        copies = train_copies(demo, sent, lambda: progress.advance(task))
    own_accuracy = accuracy(protectee, demo.split.test_x, demo.split.test_y)
    report = make_report(demo, sent, copies, own_accuracy, open_bundle(bundle).digest)
    report.write(out / "report.json")
    draw_demo_picture(report, out / "demo.png")
    print_report(report, console)
    console.print(f"Written: {out / 'report.json'}, {out / 'demo.png'}")
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
    demo: Demo, sent: Sent, copies: Mapping[str, Copies], own_accuracy: float, digest: str
) -> DemoReport:
    """The figures of the demo, from its traffic and the accuracies of the copies."""
    return DemoReport(
        dataset=demo.scenario.dataset,
        profile=defaults.PROFILE.value,
        budget=demo.budget,
        breadth=defaults.BREADTH,
        protectee=own_accuracy,
        chance=1.0 / len(demo.split.class_names),
        thieves=[
            _thief_figures(thief, sent.defended[thief.name], copies[thief.name])
            for thief in demo.thieves
        ],
        customers=[
            _customer_figures(customer, sent.defended[customer.name], sent.own[customer.name])
            for customer in demo.customers
        ],
        seed=demo.seed,
        bundle_digest=digest,
    )


def _thief_figures(thief: Thief, traffic: Traffic, copies: Copies) -> ThiefFigures:
    return ThiefFigures(
        thief.name,
        thief.title,
        len(thief.queries),
        traffic.clean_prefix,
        traffic.reversed,
        copies.undefended,
        copies.defended,
        copies.floor,
    )


def _customer_figures(customer: Customer, traffic: Traffic, own: Answers) -> CustomerFigures:
    answered = ~traffic.is_refused
    labels, own_labels = traffic.answers[answered].argmax(axis=1), own.argmax(axis=1)
    is_hit = traffic.is_refused.copy()
    is_hit[answered] = labels != own_labels[answered]
    changed, refused = int((labels != own_labels[answered]).sum()), int((~answered).sum())
    return CustomerFigures(
        customer.name,
        customer.title,
        len(customer.queries),
        float(np.mean(labels == customer.truth[answered])),
        float(np.mean(own_labels == customer.truth)),
        changed,
        refused,
        int(is_hit.argmax()) if is_hit.any() else None,
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )

"""`queen redteam`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console


def _shown_command() -> str:
    return " ".join(["queen", *sys.argv[1:]])


@click.command(
    epilog="""\b
Examples:
  queen redteam --smoke
  queen redteam --full --out build/redteam/full --jobs 2
  queen redteam --dataset fashion-mnist --queries 5000 --attack d-dae --defense modelguard-w
  queen redteam --endpoint 127.0.0.1:8001 --key-file thief.key --data pool.npz --attack knockoff

A run that was stopped goes on where it was: finished cells are in OUT/rows.jsonl.
"""
)
@click.option("--smoke", "plan", flag_value="smoke", default=True, help="Minutes, on digits.")
@click.option("--full", "plan", flag_value="full", help="About five hours, on Fashion-MNIST.")
@click.option("--list", "lists", is_flag=True, help="Show attacks and defences, and stop.")
@click.option("--dataset", help="digits, fashion-mnist, mnist or cifar10.")
@click.option("--defense", "defenses", multiple=True, help="What to attack; may be repeated.")
@click.option("--attack", "attacks", multiple=True, help="How to attack; may be repeated.")
@click.option("--profile", "profiles", multiple=True, help="Profile of Queen; may be repeated.")
@click.option(
    "--budget", "budgets", type=click.IntRange(1), multiple=True, help="Records of a class."
)
@click.option("--pool", "pools", multiple=True, help="What the thief asks about.")
@click.option("--accounts", type=click.IntRange(1), multiple=True, help="Accounts of the thief.")
@click.option("--linked/--unlinked", default=None, help="Whether his accounts are one group.")
@click.option("--queries", type=click.IntRange(1), help="Queries that the thief may send.")
@click.option("--seeds", type=click.IntRange(0), multiple=True, help="Seeds; may be repeated.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes.  [default: the cores]")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the data set's files, or of folders of that name.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where rows, report and plots go.  [default: build/redteam/PLAN]",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/redteam/cache"),
    show_default=True,
    help="What was trained and fitted.",
)
@click.option("--endpoint", help="HOST:PORT of a server of your own to attack instead.")
@click.option(
    "--key-file",
    "key_files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="With --endpoint: file with the key of one account; may be repeated.",
)
@click.option(
    "--clean-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --endpoint: key of an account under `observe`, to compare with.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --endpoint: npz of the thief's images x, and test_x, test_y to measure with.",
)
def command(lists: bool, endpoint: str | None, **asked: Any) -> None:
    """Attack a defence, and report what the thief got and what honest accounts paid.

    Attacks run against the services' own code in one process, on real data. Options name
    cells of the plan; if it has none, every combination of the names is run. With
    --endpoint the attack goes through gRPC to a server that you run.
    """
    console = Console()
    if lists:
        from queen.redteam.plans.listing import print_listing  # noqa: PLC0415 - loads Torch

        print_listing(console)
        return
    if endpoint is not None:
        _attack_endpoint(endpoint, asked, console)
        return
    if asked["key_files"] or asked["clean_key_file"] or asked["data"]:
        raise click.UsageError("--key-file, --clean-key-file and --data belong to --endpoint")
    _run_plan(asked, console)


def _run_plan(asked: dict[str, Any], console: Console) -> None:
    from queen.redteam.plans.choice import Choice  # noqa: PLC0415
    from queen.redteam.runs.campaign import Campaign, run_campaign  # noqa: PLC0415 - loads Torch
    from queen.redteam.runs.harness import Site  # noqa: PLC0415

    names = ("dataset", "seeds", "queries", "defenses", "attacks", "profiles", "budgets")
    choice = Choice(**{name: asked[name] for name in (*names, "pools", "accounts", "linked")})
    out = asked["out"] or Path("build/redteam") / asked["plan"]
    campaign = Campaign(
        site=Site(out, asked["cache"], asked["data_dir"]),
        plan=asked["plan"],
        choice=choice,
        jobs=asked["jobs"] or os.cpu_count() or 1,
        command=_shown_command(),
    )
    if run_campaign(campaign, console):
        raise SystemExit(1)


def _attack_endpoint(endpoint: str, asked: dict[str, Any], console: Console) -> None:
    from queen.redteam.runs.own_endpoint import FieldOptions, attack_endpoint  # noqa: PLC0415 - loads Torch

    if not asked["key_files"] or asked["data"] is None:
        raise click.UsageError("--endpoint needs --key-file and --data")
    options = FieldOptions(
        endpoint=endpoint,
        key_files=asked["key_files"],
        clean_key_file=asked["clean_key_file"],
        data=asked["data"],
        attacks=asked["attacks"] or ("knockoff",),
        queries=asked["queries"],
        seeds=asked["seeds"] or (0,),
        profile=next(iter(asked["profiles"]), "paper"),
        budget=next(iter(asked["budgets"]), 100),
        out=asked["out"] or Path("build/redteam/endpoint"),
        cache=asked["cache"],
        command=_shown_command(),
    )
    attack_endpoint(options, console)

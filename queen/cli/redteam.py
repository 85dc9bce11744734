"""`queen redteam`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from queen.cli.class_cap import ClassCapType
from queen.cli.options import cache, data_dir, out, seeds
from queen.defaults import BREADTH, BUDGET, CLASS_CAP, PROFILE


@dataclass(frozen=True)
class RedteamOptions:
    """The options of `queen redteam`, as click parses them."""

    plan: str
    lists: bool
    leak: bool
    dataset: str | None
    defenses: tuple[str, ...]
    attacks: tuple[str, ...]
    profiles: tuple[str, ...]
    budgets: tuple[int, ...]
    breadths: tuple[int, ...]
    class_caps: tuple[int, ...]
    pools: tuple[str, ...]
    accounts: tuple[int, ...]
    linked: bool | None
    queries: int | None
    seeds: tuple[int, ...]
    jobs: int | None
    data_dir: Path | None
    out: Path | None
    earlier: tuple[Path, ...]
    cache: Path
    endpoint: str | None
    key_files: tuple[Path, ...]
    clean_key_file: Path | None
    data: Path | None


@click.command(
    epilog="""\b
Examples:
  queen redteam --smoke
  queen redteam --full --out build/redteam/full --jobs 2
  queen redteam --full --leak --out build/redteam/full
  queen redteam --dataset fashion-mnist --queries 5000 --attack d-dae --defense modelguard-w
  queen redteam --endpoint 127.0.0.1:8001 --key-file thief.key --data pool.npz --attack knockoff

A run that was stopped continues: finished cells are in OUT/rows.jsonl, or in a report that you
name with --resume, of another day or another machine. Rows of another learner do not count.
"""
)
@click.option(
    "--smoke", "plan", flag_value="smoke", default=True, help="Run the plan of minutes, on digits."
)
@click.option(
    "--full", "plan", flag_value="full", help="Run the plan of about six hours, on Fashion-MNIST."
)
@click.option(
    "--cifar10", "plan", flag_value="cifar10", help="Run the plan of about four hours, on CIFAR-10."
)
@click.option("--list", "lists", is_flag=True, help="Show attacks and defenses, and exit.")
@click.option(
    "--leak",
    is_flag=True,
    help="Measure what the answers of the plan's defenses tell about labels, and run no attack.",
)
@click.option("--dataset", help="digits, fashion-mnist, mnist or cifar10.")
@click.option("--defense", "defenses", multiple=True, help="Defense to attack; may be repeated.")
@click.option("--attack", "attacks", multiple=True, help="Attack to run; may be repeated.")
@click.option("--profile", "profiles", multiple=True, help="Profile of Queen; may be repeated.")
@click.option(
    "--budget", "budgets", type=click.IntRange(1), multiple=True, help="Records of a class."
)
@click.option(
    "--breadth",
    "breadths",
    type=click.IntRange(1),
    multiple=True,
    help="Crossed classes at which an account is over its budget; may be repeated.",
)
@click.option(
    "--class-cap",
    "class_caps",
    type=ClassCapType(),
    multiple=True,
    help="Budgets of one class at which it is over as well; may be repeated.",
)
@click.option("--pool", "pools", multiple=True, help="Pool of the thief's images; may be repeated.")
@click.option(
    "--accounts", type=click.IntRange(1), multiple=True, help="Accounts that share the queries."
)
@click.option(
    "--linked/--unlinked", default=None, help="Whether the thief's accounts are one group."
)
@click.option("--queries", type=click.IntRange(1), help="Queries that the thief may send.")
@seeds()
@click.option("--jobs", type=click.IntRange(1), help="Worker processes.  [default: the cores]")
@data_dir()
@out("Folder of rows, report and pictures.  [default: build/redteam/PLAN]")
@click.option(
    "--resume",
    "earlier",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="report.json of an earlier run, whose rows are not measured again; may be repeated.",
)
@cache()
@click.option("--endpoint", help="HOST:PORT of a server of your own, attacked instead of a plan.")
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
    help="With --endpoint: file with the key of an account under `observe`, to compare with.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --endpoint: npz of the thief's images x, and test_x, test_y to measure with.",
)
def command(**given: Any) -> None:
    """Attack a defense, and report the thief's copy beside the answers of honest accounts.

    Attacks run against the services' own code in one process, on real data. Options select
    cells of the plan; if the plan has no such cell, every combination of the names is run. With
    --endpoint the attack goes through gRPC to a server that you run. With --leak a decoder reads
    the answers instead, whatever a thief would do with them; later reports in OUT show the leak.
    """
    options, console = RedteamOptions(**given), Console()
    if options.lists:
        from queen.redteam.report.catalog import print_catalog  # noqa: PLC0415 - loads Torch

        print_catalog(console)
    elif options.endpoint is not None:
        _attack_endpoint(options.endpoint, options, console)
    elif options.key_files or options.clean_key_file or options.data:
        raise click.UsageError("--key-file, --clean-key-file and --data belong to --endpoint")
    else:
        _run_plan(options, console)


def _run_plan(options: RedteamOptions, console: Console) -> None:
    from queen.redteam.leak.run import run_leak  # noqa: PLC0415 - loads Torch
    from queen.redteam.plans.selection import Selection  # noqa: PLC0415 - loads Torch
    from queen.redteam.runs.plan_run import PlanRun, run_plan  # noqa: PLC0415 - loads Torch
    from queen.redteam.runs.workers import Folders  # noqa: PLC0415 - loads Torch

    selection = Selection(
        dataset=options.dataset,
        seeds=options.seeds,
        queries=options.queries,
        defenses=options.defenses,
        attacks=options.attacks,
        profiles=options.profiles,
        budgets=options.budgets,
        breadths=options.breadths,
        class_caps=options.class_caps,
        pools=options.pools,
        accounts=options.accounts,
        linked=options.linked,
    )
    folder = options.out or Path("build/redteam") / options.plan
    run = PlanRun(
        folders=Folders(folder, options.cache, options.data_dir),
        plan=options.plan,
        earlier=options.earlier,
        selection=selection,
        jobs=options.jobs or os.cpu_count() or 1,
        command=_shown_command(),
    )
    if options.leak:
        run_leak(run, console)
    elif run_plan(run, console):
        raise SystemExit(1)


def _attack_endpoint(endpoint: str, options: RedteamOptions, console: Console) -> None:
    if not options.key_files or options.data is None:
        raise click.UsageError("--endpoint needs --key-file and --data")
    from queen.redteam.runs.endpoint_attack import (  # noqa: PLC0415 - loads Torch
        EndpointAttack,
        attack_endpoint,
    )

    attack = EndpointAttack(
        endpoint=endpoint,
        key_files=options.key_files,
        clean_key_file=options.clean_key_file,
        data=options.data,
        attacks=options.attacks or ("knockoff",),
        queries=options.queries,
        seeds=options.seeds or (0,),
        profile=next(iter(options.profiles), PROFILE.value),
        budget=next(iter(options.budgets), BUDGET),
        breadth=next(iter(options.breadths), BREADTH),
        class_cap=next(iter(options.class_caps), CLASS_CAP),
        out=options.out or Path("build/redteam/endpoint"),
        cache=options.cache,
        command=_shown_command(),
    )
    attack_endpoint(attack, console)


def _shown_command() -> str:
    return " ".join(["queen", *sys.argv[1:]])

"""`queen bench`: measures what the defense costs."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.cli.class_cap import ClassCapType
from queen.defaults import BREADTH, BUDGET, CHARGE, CLASS_CAP, PROFILE
from queen.method.contracts import Profile
from queen.method.crossing import CrossingPolicy, cap_text
from queen.method.ledger import Charge

_Command = TypeVar("_Command", bound=Callable[..., Any])
_JSON = click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write the figures to.",
)


_CHARGE = click.option(
    "--charge",
    type=click.Choice([charge.value for charge in Charge]),
    default=CHARGE.value,
    show_default=True,
    help="Charge novel queries inside of the regions, or all.",
)


@click.group()
def command() -> None:
    """Measure what the defense costs, as ratios in one run."""


@command.command()
@click.option("--repeats", type=click.IntRange(min=3), default=15, show_default=True)
@_JSON
def method(repeats: int, json_path: Path | None) -> None:
    """Time the kernels in-process: closed forms against the loops they replace."""
    from queen.bench.method import goal_met, run_method_bench  # noqa: PLC0415 - loads Torch

    rows = run_method_bench(repeats)
    table = Table(title="Cost of a query, batch 256, one thread", title_justify="left")
    for column in ("kernel", "us (median)", "fastest - slowest", "goal", "against", "times faster"):
        table.add_column(column, justify="left" if column in ("kernel", "against") else "right")
    for row in rows:
        met = goal_met(row)
        goal = "" if met is None else f"< {row['goal']:g} {'met' if met else 'MISSED'}"
        table.add_row(
            row["name"],
            f"{row['microseconds']:.2f}",
            f"{row['fastest']:.2f} - {row['slowest']:.2f}",
            goal,
            row["reference"] or "",
            f"{row['speedup']:,.0f}" if row["speedup"] else "",
        )
    _publish("method", rows, table, json_path)


@command.command()
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("build/demo/bundle"),
    show_default=True,
    help="A fitted bundle; `queen demo` leaves one here.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("build/demo/digits.npz"),
    show_default=True,
    help="npz whose `x` are the queries.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=2.0, show_default=True)
@_JSON
def serve(bundle: Path, data: Path, rounds: int, seconds: float, json_path: Path | None) -> None:
    """Load the defended door and a bare grpc.aio + ONNX Runtime server in turns."""
    from queen.bench.serve import (  # noqa: PLC0415 - loads the client
        ServeOptions,
        count_bursts,
        run_serve_bench,
    )

    with tempfile.TemporaryDirectory() as state, Progress(console=Console(stderr=True)) as progress:
        options = ServeOptions(bundle, data, Path(state), rounds, seconds)
        task = progress.add_task("bursts", total=count_bursts(options))
        rows = run_serve_bench(options, lambda: progress.advance(task))
    table = Table(title="Ratios to the bare server", title_justify="left")
    for column in ("contestant", "batch", "in flight", "requests/s", "p50", "p99", "server CPU"):
        table.add_column(column, justify="right" if column != "contestant" else "left")
    for row in rows:
        if row["contestant"] == "bare":
            continue
        measures = ("requests_per_second", "p50_ms", "p99_ms", "cpu_ms_per_request")
        cells = [_ratio(row[f"{measure}_ratio"]) for measure in measures]
        table.add_row(row["contestant"], str(row["batch"]), str(row["in_flight"]), *cells)
    _publish("serve", rows, table, json_path)


_BUNDLE = click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("build/demo/bundle"),
    show_default=True,
    help="A fitted bundle; `queen demo` leaves one here.",
)


def _samples(default: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--data",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=Path(default),
        show_default=True,
        help="npz whose `x` the protectee never saw.",
    )


@command.command()
@_BUNDLE
@click.option(
    "--train",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("build/demo/digits.npz"),
    show_default=True,
    help="npz that the bundle was fitted with.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    default=(Path("build/demo/test.npz"), Path("build/demo/pool.npz")),
    show_default=True,
    help="npz whose `x` the protectee never saw, with labels `y` or without; may be repeated.",
)
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=PROFILE.value,
    show_default=True,
)
@click.option(
    "--budget", type=click.IntRange(min=1), default=BUDGET, show_default=True, help="Records."
)
@click.option("--breadth", type=click.IntRange(min=1), default=BREADTH, show_default=True)
@click.option("--class-cap", type=ClassCapType(), default=cap_text(CLASS_CAP), show_default=True)
@_CHARGE
@click.option("--accounts", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--queries", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_JSON
def honest(json_path: Path | None, **asked: Any) -> None:
    """Count what a policy and a meter do to honest accounts, by their traffic."""
    from queen.bench.honest import HonestOptions, run_honest_bench  # noqa: PLC0415 - loads ONNX Runtime

    policy = CrossingPolicy(*(asked.pop(name) for name in ("budget", "breadth", "class_cap")))
    profile = Profile(asked.pop("profile"))
    charge = Charge(asked.pop("charge"))
    options = HonestOptions(policy=policy, profile=profile, charge=charge, **asked)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("kinds of traffic")
        rows = run_honest_bench(
            options, lambda done, every: progress.update(task, completed=done, total=every)
        )
    cap = cap_text(policy.class_cap)
    table = Table(
        title=f"{options.accounts:,} honest accounts of each kind, {options.queries:,} queries "
        f"each: {profile} n{policy.budget}, breadth {policy.breadth}, class cap {cap}",
        caption="harmed: with a query that was reversed or refused; first: answers before it, "
        "0.1 % quantile and median",
        title_justify="left",
        caption_justify="left",
    )
    titles = ("traffic", "volume", "harmed before", "harmed", "first", "flagged", "right at last")
    for column in titles:
        table.add_column(column, justify="left" if column == "traffic" else "right")
    for row in rows:
        earliest, median, _ = row["first_harm"]
        *_, flagged = row["flagged"].values()
        table.add_row(
            row["kind"],
            _count(row["volume"]),
            f"{row['harmed_before_volume']:,}",
            f"{row['harmed']:,}",
            f"{_count(earliest)} / {_count(median)}",
            f"{flagged:,}",
            f"{row['right'][-1][1]:.1%} of {row['right_undefended']:.1%}",
        )
    _publish("honest", rows, table, json_path)


def _count(queries: int | None) -> str:
    return "never" if queries is None else f"{queries:,}"


@command.command()
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option(
    "--seeds",
    type=click.IntRange(0),
    multiple=True,
    default=(0,),
    show_default=True,
    help="Seeds; may be repeated.",
)
@click.option(
    "--budget", type=click.IntRange(min=1), default=BUDGET, show_default=True, help="Records."
)
@click.option(
    "--breadths",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 3, 5, 8),
    show_default=True,
    help="Crossed classes that put an account over; may be repeated.",
)
@click.option(
    "--caps",
    type=ClassCapType(),
    multiple=True,
    default=("1", "3", "10", "off"),
    show_default=True,
    help="Budgets of a single class that do so alone; may be repeated.",
)
@click.option("--queries", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option(
    "--accounts",
    "honest_accounts",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Honest accounts of each kind.",
)
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the data set's files, or of folders of that name.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/frontier"),
    show_default=True,
    help="Folder of rows, table and picture; a run that was stopped continues.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/redteam/cache"),
    show_default=True,
    help="Folder of trained networks and fitted bundles.",
)
def frontier(data_dir: Path | None, out: Path, cache: Path, **asked: Any) -> None:
    """Weigh crossing policies: copies of clean answers against what honest accounts pay."""
    from queen.redteam.frontier.report import report_frontier  # noqa: PLC0415 - loads Torch
    from queen.redteam.frontier.sweep import Sweep  # noqa: PLC0415 - as the line above
    from queen.redteam.runs.workers import Folders  # noqa: PLC0415 - as the line above

    shown = " ".join(["queen", *sys.argv[1:]])
    report_frontier(Sweep(**asked), Folders(out, cache, data_dir), shown, Console())


@command.command()
@_BUNDLE
@_samples("build/demo/pool.npz")
@click.option("--accounts", type=click.IntRange(min=2), default=12, show_default=True)
@click.option("--queries", type=click.IntRange(min=10), default=500, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_JSON
def links(json_path: Path | None, **asked: Any) -> None:
    """Measure how well overlapping coverage links the accounts of one thief."""
    from queen.bench.links import run_links_bench  # noqa: PLC0415 - loads ONNX Runtime

    rows = run_links_bench(asked.pop("bundle"), asked.pop("data"), **asked)
    table = Table(title="Pairs of a thief's accounts against honest pairs", title_justify="left")
    for column in ("the accounts ask", "AUC", "linked", "false links"):
        table.add_column(column, justify="left" if column == "the accounts ask" else "right")
    for row in rows:
        table.add_row(
            row["split"],
            f"{row['auc']:.3f}",
            f"{row['linked']:.1%}",
            f"{row['false_links']:.1%}",
        )
    _publish("links", rows, table, json_path)


_EXPERIMENT = (
    click.option(
        "--dataset",
        type=click.Choice(["digits", "fashion-mnist", "mnist"]),
        default="digits",
        show_default=True,
    ),
    click.option(
        "--data-dir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder of the files of the data set.",
    ),
    click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("build/redteam/cache"),
        show_default=True,
        help="Folder of protectees, bundles and copies, that of `queen redteam`.",
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option("--budget", type=click.IntRange(min=1), default=BUDGET, show_default=True),
)


def _experiment(function: _Command) -> _Command:
    """The options of a bench that runs on a protectee of the red team."""
    for option in reversed(_EXPERIMENT):
        function = option(function)
    return function


@command.command()
@_experiment
@click.option("--breadth", type=click.IntRange(min=1), default=BREADTH, show_default=True)
@click.option("--class-cap", type=ClassCapType(), default=cap_text(CLASS_CAP), show_default=True)
@_CHARGE
@click.option("--accounts", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--queries", type=click.IntRange(min=1), default=8400, show_default=True)
@_JSON
def charge(
    dataset: str,
    data_dir: Path | None,
    cache: Path,
    seed: int,
    json_path: Path | None,
    **asked: Any,
) -> None:
    """Measure what a charge costs honest accounts, and leaves an active thief."""
    from queen.bench.charge import run_charge_bench  # noqa: PLC0415 - loads Torch
    from queen.redteam.runs.cache import Cache  # noqa: PLC0415 - as the line above
    from queen.redteam.runs.experiment import Experiment  # noqa: PLC0415 - as the line above

    policy = CrossingPolicy(*(asked.pop(name) for name in ("budget", "breadth", "class_cap")))
    experiment = Experiment(dataset, seed, Cache(cache), data_dir)
    row = run_charge_bench(experiment, Charge(asked.pop("charge")), policy, **asked)
    table = Table(title="Queries of honest accounts until they are over", title_justify="left")
    for column in ("traffic", "fewest", "median", "accounts over"):
        table.add_column(column, justify="left" if column == "traffic" else "right")
    for kind, crossing in row["honest"].items():
        counts = [crossing["fewest"], crossing["median"], crossing["over"]]
        cells = ("never" if count is None else f"{count:,}" for count in counts)
        table.add_row(kind, *cells)
    thieves = Table(title="Clean answers of a thief, and its copy", title_justify="left")
    for column in ("thief", "clean answers", "copy", "copy of as many plain images"):
        thieves.add_column(column, justify="left" if column == "thief" else "right")
    for thief in row["thieves"]:
        name = f"1 in {thief['every']} doubted" if thief["every"] else "plain"
        copies = (f"{thief[key]:.1%}" for key in ("copy", "plain_copy"))
        thieves.add_row(name, f"{thief['clean']:,}", *copies)
    Console().print(thieves)
    _publish("charge", [row], table, json_path)


@command.command()
@_experiment
@click.option("--accounts", type=click.IntRange(min=1), default=20, show_default=True)
@_JSON
def meter(
    dataset: str,
    data_dir: Path | None,
    cache: Path,
    seed: int,
    json_path: Path | None,
    **asked: Any,
) -> None:
    """Count the images of strange pools that are answered before their account is flagged."""
    from queen.bench.meter import count_rows, run_meter_bench  # noqa: PLC0415 - loads Torch
    from queen.redteam.runs.cache import Cache  # noqa: PLC0415 - as the line above
    from queen.redteam.runs.experiment import Experiment  # noqa: PLC0415 - as the line above

    experiment = Experiment(dataset, seed, Cache(cache), data_dir)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("streams", total=count_rows())
        rows = run_meter_bench(experiment, **asked, on_row=lambda: progress.advance(task))
    table = Table(title="Images until the account is off-distribution", title_justify="left")
    for column in ("pool", "known queries", "repeats after each image", "median", "latest"):
        table.add_column(column, justify="left" if column == "pool" else "right")
    for row in rows:
        known = f"{row['known']:,}" if row["repeats"] else ""
        cells = (known, str(row["repeats"]), f"{row['median']:g}", f"{row['latest']:g}")
        table.add_row(row["pool"], *cells)
    _publish("meter", rows, table, json_path)


@command.command()
@click.option(
    "--accounts",
    type=click.IntRange(min=1000),
    default=1_000_000,
    show_default=True,
    help="Accounts that the engine sees.",
)
@click.option("--rounds", type=click.IntRange(min=10), default=300, show_default=True)
@click.option(
    "--redis",
    "redis_url",
    help="URL of a Redis to append to; else a new redis-server.",
)
@_JSON
def state(accounts: int, rounds: int, redis_url: str | None, json_path: Path | None) -> None:
    """Measure the ledgers of many accounts: verdicts, appends and memory."""
    from queen.bench.machine import describe_machine  # noqa: PLC0415
    from queen.bench.state.bench import (  # noqa: PLC0415 - loads FAISS
        StateOptions,
        count_steps,
        run_state_bench,
    )
    from queen.bench.state.goals import GOALS  # noqa: PLC0415 - as the line above

    options = StateOptions(accounts=accounts, rounds=rounds, redis_url=redis_url)
    # A thread that draws would hold the interpreter's lock while the engine waits for it.
    with Progress(console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("state", total=count_steps(options))
        figures = run_state_bench(options, lambda: progress.update(task, advance=1, refresh=True))
    table = Table(title="State of the accounts, engine on one thread", title_justify="left")
    for column in ("measure", "measured", "goal"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for goal in GOALS:
        table.add_row(goal.title, f"{figures[goal.key]:,}", goal.verdict(figures[goal.key]))
    for name, rates in figures["sqlite_appends_per_second"].items():
        cells = ", ".join(f"{rate:,} ({batch})" for batch, rate in rates.items())
        table.add_row(f"records a second into SQLite, synchronous {name}", cells, "")
    machine = describe_machine()
    _show(table, machine)
    goals = [
        {"key": goal.key, "title": goal.title, "goal": goal.verdict(figures[goal.key])}
        for goal in GOALS
    ]
    _write(json_path, {"bench": "state", "machine": machine, "goals": goals, **figures})


@command.command()
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--queries", type=click.IntRange(min=500), default=20_000, show_default=True)
@click.option("--budget", type=click.IntRange(min=1), default=BUDGET, show_default=True)
@click.option("--secrets", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/redteam/cache"),
    show_default=True,
    help="Folder of trained networks and fitted bundles.",
)
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the data set's files, or of folders of that name.",
)
@_JSON
def secrecy(json_path: Path | None, **asked: Any) -> None:
    """Measure answers between reversal and secrecy: what each tells of the true label."""
    from queen.bench.secrecy import (  # noqa: PLC0415 - loads Torch
        ANSWERS,
        SecrecyOptions,
        run_secrecy_bench,
    )

    options = SecrecyOptions(**asked)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("fits", total=len(ANSWERS))

        def show(title: str) -> None:
            progress.update(task, advance=1, description=title)

        rows = run_secrecy_bench(options, show)
    table = Table(title="Reversal and secrecy, answers to flagged queries", title_justify="left")
    table.add_column("answer")
    for column in ("reversal", "labels read", "with a belief", "leak", "a copy"):
        table.add_column(column, justify="right")
    for row in rows:
        shares = (row["read"], row["read_with_belief"], row["leak"], row["learned"])
        table.add_row(row["title"], f"{row['reversal']:.2f}", *(f"{x:.1%}" for x in shares))
    _publish("secrecy", rows, table, json_path)


def _ratio(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"


def _publish(name: str, rows: list[dict[str, Any]], table: Table, path: Path | None) -> None:
    from queen.bench.machine import describe_machine  # noqa: PLC0415

    machine = describe_machine()
    _show(table, machine)
    _write(path, {"bench": name, "machine": machine, "rows": rows})


def _show(table: Table, machine: dict[str, str | int]) -> None:
    console = Console()
    console.print(table)
    console.print(f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}")


def _write(path: Path | None, content: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")

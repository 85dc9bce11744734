"""`queen up`: the three services on this machine, together."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from queen.bundle import Bundle, open_bundle
from queen.cli.refusal import Refusal, refusing
from queen.cli.state import DEFAULT_STATE, StateFolder
from queen.cli.up.child import Child
from queen.cli.up.credentials import ensure_local_account, ensure_secret
from queen.cli.up.plan import SERVICES, Plan, missing_extras
from queen.cli.up.signals import Signals
from queen.cli.up.supervisor import Supervisor
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.sensitivity import budget_thresholds, largest_budget
from queen.serving.accounts import read_accounts

EXIT_REFUSED = 2
"""Exit code when something is wrong before any service was started."""


@click.command(
    epilog="""\b
Examples:
  queen up --bundle bundle
  queen up --bundle bundle --accounts accounts.yaml --budget 300 --profile safe
  queen up --bundle bundle --port 0 --state /var/lib/queen
  queen up --bundle bundle --state redis://127.0.0.1:6379 --replicas 3

Without --accounts an account `local` is made, with its key in STATE/local.key, where
`queen query` finds it. Settings of a service that have no flag here are read from the
environment: QUEEN_INFERENCE_THREADS=4, for instance.
"""
)
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="What to serve.")
@click.option("--accounts", type=click.Path(path_type=Path), help="Who may ask: accounts.yaml.")
@click.option(
    "--state",
    type=str,
    default=str(DEFAULT_STATE),
    show_default=True,
    help="Folder of ledgers, secret, keys and logs; or a Redis for the ledgers, redis://HOST:6379, "
    f"with the rest in {DEFAULT_STATE}.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes of the sensitivity service; several need --state redis://...",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8001,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(-1, 65535),
    default=0,
    show_default=True,
    help="Port of the front door's metrics; 0 takes a free one, -1 serves none.",
)
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=Profile.PAPER.value,
    show_default=True,
    help="How flagged queries are answered, for accounts that name no profile.",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Distinct sensitive queries of a class before reversal begins.",
)
@click.option(
    "--failure-mode",
    type=click.Choice(["protect", "deny", "allow"]),
    default="protect",
    show_default=True,
    help="Answer while the sensitivity service is out of reach: label only, none, or clean.",
)
@click.option(
    "--allow-clean-answers",
    is_flag=True,
    help="Must be given with --failure-mode allow: clean probabilities leave the door then.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the shadow models run.",
)
def command(bundle: Path, accounts: Path | None, state: str, **asked: Any) -> None:
    """Serve a bundle: three services on this machine, behind one port.

    Prints `ready HOST:PORT` once all serve. A process that dies is started again. SIGINT
    and SIGTERM stop all of them, and requests in flight are answered first.
    """
    with ExitStack() as stack:
        with refusing(EXIT_REFUSED):
            _require_engines()
            opened = _open(bundle, asked["budget"])
            folder, ledger = _state(state)
            stack.enter_context(folder.locked())
            known = _accounts(folder, accounts, opened)
            plan = Plan(bundle=opened, state=folder, accounts=known, ledger=ledger, **asked)
            _check(plan)
        signals = stack.enter_context(Signals())
        _run(plan, signals)


def _require_engines() -> None:
    missing = missing_extras()
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise ConfigError(
            f"queen up needs the {names} extra{'s' * (len(missing) > 1)}: "
            f"pip install 'queen[{','.join(missing)}]'"
        )


def _open(path: Path, budget: int) -> Bundle:
    bundle = open_bundle(path.absolute())
    budget_thresholds(bundle.geometry, bundle.mean_squared_sqs, budget)
    return bundle


def _state(given: str) -> tuple[StateFolder, str | None]:
    """The folder, and the URL of the ledgers if they do not lie in it."""
    is_url = "://" in given
    folder = StateFolder((DEFAULT_STATE if is_url else Path(given)).absolute())
    folder.prepare()
    return folder, given if is_url else None


def _accounts(folder: StateFolder, given: Path | None, bundle: Bundle) -> Path:
    """The accounts file to serve with; made if none was given."""
    if given is None:
        ensure_local_account(folder)
    path = (given or folder.accounts).absolute()
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    content = read_accounts(path)
    budgets = [("entry", place, entry.budget) for place, entry in enumerate(content.accounts, 1)]
    budgets += [("group", place, group.budget) for place, group in enumerate(content.groups, 1)]
    for kind, number, budget in budgets:
        if budget is not None and budget > largest:
            raise ConfigError(
                f"{path}: {kind} {number}, budget: expected at most {largest} records of a class, "
                f"which is all that this bundle's regions have room for, got {budget}"
            )
    return path


def _check(plan: Plan) -> None:
    ensure_secret(plan.state)
    plan.check_settings()
    require_free(plan.host, plan.port, "--port")
    if plan.metrics_port > 0:
        require_free(plan.host, plan.metrics_port, "--metrics-port")


def require_free(host: str, port: int, flag: str) -> None:
    """ConfigError, naming `flag`, if nobody could listen on host:port now."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As gRPC does: a connection that lingers after its server is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; "
            f"stop what listens there, or choose another {flag} (0 takes a free one)"
        ) from error


def _run(plan: Plan, signals: Signals) -> None:
    supervisor = Supervisor(signals, say, lambda: _publish(plan, supervisor.children))
    clean = True
    try:
        if _start(plan, supervisor):
            _publish(plan, supervisor.children)
            _greet(plan, supervisor.children)
            supervisor.watch()
    finally:
        clean = supervisor.stop()
        plan.state.up.unlink(missing_ok=True)
    if not clean:
        raise Refusal("not every service stopped by itself; the ledgers are whole")


def _start(plan: Plan, supervisor: Supervisor) -> bool:
    """Start the peers, then the front door, which needs their addresses."""
    peers = [child for name in SERVICES[:-1] for child in plan.children(name)]
    if not supervisor.start(peers):
        return False
    return supervisor.start(plan.children("inference", _targets(plan, peers)))


def _addresses(children: Sequence[Child], name: str = "address") -> dict[str, str]:
    return {
        child.name: child.ready[name] for child in children if child.ready and name in child.ready
    }


def _targets(plan: Plan, peers: Sequence[Child]) -> dict[str, str]:
    """Targets of the front door: of each peer all addresses, between commas."""
    addresses = _addresses(peers)
    return {
        service: ",".join(addresses[name] for name in plan.names(service))
        for service in SERVICES[:-1]
    }


def _publish(plan: Plan, children: Sequence[Child]) -> None:
    pids: Mapping[str, int | None] = {"up": os.getpid()} | {one.name: one.pid for one in children}
    admins = _addresses(children, "admin")
    plan.state.write_up(
        {
            **_addresses(children),
            **_targets(plan, children),
            # Any replica answers for all ledgers, so one is enough.
            "admin": next(iter(admins.values()), None),
            "admins": admins,
            "metrics": _addresses(children, "metrics"),
            "pids": pids,
            "model": plan.bundle.manifest.model_name,
            "bundle": str(plan.bundle.path),
            "bundle_digest": plan.bundle.digest,
            "accounts": str(plan.accounts),
        }
    )


def _greet(plan: Plan, children: Sequence[Child]) -> None:
    manifest, metrics = plan.bundle.manifest, _addresses(children, "metrics")
    say(
        f"model '{manifest.model_name}' of {manifest.num_classes} classes, "
        f"bundle {plan.bundle.digest[:12]}, profile {plan.profile}, budget {plan.budget}"
    )
    if plan.replicas > 1:
        say(f"{plan.replicas} replicas of sensitivity; an account stays with one while it serves")
    if "inference" in metrics:
        say(f"metrics http://{metrics['inference']}/metrics")
    say(f"state and logs in {plan.state.path}")
    click.echo(f"ready {_addresses(children)['inference']}")


def say(line: str) -> None:
    """A line for the operator, beside stdout, which holds the ready line only."""
    click.echo(f"queen up: {line}", err=True)

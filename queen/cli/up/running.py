"""Runs a plan: starts the services in order, publishes their addresses, stops them in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import click

from queen.cli.refusal import Refusal
from queen.cli.up.child import Child
from queen.cli.up.plan import SERVICES, Plan
from queen.cli.up.stopping import StopRequests
from queen.cli.up.supervisor import Supervisor


def serve(plan: Plan) -> None:
    """Run the services of a plan until the operator asks to stop.

    Raises Refusal if a service does not start, or had to be killed at the end.
    """
    asyncio.run(_serve(plan))


async def _serve(plan: Plan) -> None:
    requests = StopRequests()
    supervisor = Supervisor(requests, say, lambda: publish(plan, supervisor.children))
    clean = True
    with requests.from_signals():
        try:
            if await _start(plan, supervisor):
                publish(plan, supervisor.children)
                _greet(plan, supervisor.children)
                await supervisor.watch()
        finally:
            clean = await supervisor.stop()
            plan.state.up.unlink(missing_ok=True)
    if not clean:
        raise Refusal("not every service stopped by itself; the ledgers are whole")


async def _start(plan: Plan, supervisor: Supervisor) -> bool:
    """Start the peers, then the front door, which needs their addresses."""
    peers = [child for name in SERVICES[:-1] for child in plan.children(name)]
    if not await supervisor.start(peers):
        return False
    return await supervisor.start(plan.children("inference", _targets(plan, peers)))


def _addresses(children: Sequence[Child], name: str = "address") -> dict[str, str]:
    return {
        child.name: child.ready[name] for child in children if child.ready and name in child.ready
    }


def _targets(plan: Plan, peers: Sequence[Child]) -> dict[str, str]:
    """Targets of the front door: for each peer its addresses, between commas."""
    addresses = _addresses(peers)
    return {
        service: ",".join(addresses[name] for name in plan.names(service))
        for service in SERVICES[:-1]
    }


def publish(plan: Plan, children: Sequence[Child]) -> None:
    """Write addresses and process ids into the state folder."""
    pids: Mapping[str, int | None] = {"up": os.getpid()} | {
        child.name: child.pid for child in children
    }
    admins = _addresses(children, "admin")
    plan.state.write_up(
        {
            **_addresses(children),
            **_targets(plan, children),
            # Any replica answers for all ledgers, so a single admin port is enough.
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
    """Print a line for the operator on stderr: stdout holds the ready line only."""
    click.echo(f"queen up: {line}", err=True)

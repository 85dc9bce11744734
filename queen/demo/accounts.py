"""The accounts of the demo, sending their queries to the services on loopback."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.progress import Progress

from queen import defaults
from queen.demo.scenario import Customer, Demo, Thief
from queen.demo.traffic import DecisionMeter, Traffic, send
from queen.deployment import Deployment
from queen.method.contracts import Profile
from queen.oip_client import OipClient
from queen.redteam.targets.base import Answers

UNDEFENDED = "undefended"
"""The account under `observe`, which gets the protectee's own answers to all queries."""


@dataclass(frozen=True, eq=False)
class Sent:
    """The traffic of the accounts by name, and the protectee's own answers to the same queries."""

    defended: Mapping[str, Traffic]
    own: Mapping[str, Answers]


def serve_and_send(demo: Demo, bundle: Path, progress: Progress) -> Sent:
    """Start the three services on loopback and send every account's queries through them."""
    state = demo.out / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    # The secret follows from the seed, so that a second run gives the same figures.
    (state / "secret").write_bytes(hashlib.sha256(f"demo {demo.seed}".encode()).digest())
    (state / "secret").chmod(0o600)
    callers: list[Thief | Customer] = [*demo.customers, *demo.thieves]
    accounts = write_accounts(state, [caller.name for caller in callers])
    deployment = Deployment(
        bundle=bundle,
        state=state,
        accounts=accounts,
        profile=defaults.PROFILE.value,
        budget=demo.budget,
    )
    with deployment as running:
        meter = DecisionMeter(running.metrics["sensitivity"])

        def defended(caller: Thief | Customer) -> Traffic:
            task = progress.add_task(caller.title, total=len(caller.queries))
            with OipClient(running.endpoint, _key(caller.name)) as client:
                return send(client, caller.queries, meter, lambda n: progress.advance(task, n))

        def own(caller: Thief | Customer) -> Answers:
            # Nothing is reversed under `observe`, so no meter is read.
            task = progress.add_task(f"{caller.title}, undefended", total=len(caller.queries))
            with OipClient(running.endpoint, _key(UNDEFENDED)) as client:
                sent = send(client, caller.queries, None, lambda n: progress.advance(task, n))
            return sent.answers

        return Sent(
            {caller.name: defended(caller) for caller in callers},
            {caller.name: own(caller) for caller in callers},
        )


def write_accounts(folder: Path, names: list[str]) -> Path:
    """Write accounts.yaml of these accounts and of `UNDEFENDED` into a folder; its path."""
    accounts = [
        {"id": name, "key_sha256": hashlib.sha256(_key(name).encode()).hexdigest()}
        for name in (*names, UNDEFENDED)
    ]
    accounts[-1]["profile"] = Profile.OBSERVE.value
    path = folder / "accounts.yaml"
    path.write_text(yaml.safe_dump({"accounts": accounts}, sort_keys=False))
    return path


def _key(account: str) -> str:
    """The key of a throw-away account on loopback; the demo must not depend on a random key."""
    return f"demo-{account}-key"

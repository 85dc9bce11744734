"""The four accounts of the demo, sending their queries to the services on loopback."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.progress import Progress

from queen.defaults import PROFILE
from queen.demo.scenario import Demo
from queen.demo.traffic import DecisionMeter, Traffic, send
from queen.deployment import Deployment
from queen.oip_client import OipClient
from queen.redteam.datasets import Images

# Keys of throw-away accounts on loopback; the demo must not depend on a random key.
_KEYS = {name: f"demo-{name}-key" for name in ("honest", "heavy", "thief", "undefended")}


@dataclass(frozen=True, eq=False)
class Sent:
    """The traffic of the four accounts, and the protectee's own answers (N, C) to the test set.

    `honest` sends an ordinary number of queries, `heavy` the whole test set; `thief` and
    `undefended` send the same stolen queries, the second under `observe`.
    """

    honest: Traffic
    heavy: Traffic
    thief: Traffic
    undefended: Traffic
    own_test: NDArray[np.float32]


def serve_and_send(demo: Demo, bundle: Path, progress: Progress) -> Sent:
    """Start the three services on loopback and send every account's queries through them."""
    state = demo.out / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    # The secret follows from the seed, so that a second run gives the same figures.
    (state / "secret").write_bytes(hashlib.sha256(f"demo {demo.seed}".encode()).digest())
    (state / "secret").chmod(0o600)
    deployment = Deployment(
        bundle=bundle,
        state=state,
        accounts=write_accounts(state),
        profile=PROFILE.value,
        budget=demo.budget,
    )
    with deployment as running:
        meter = DecisionMeter(running.metrics["sensitivity"])

        def sends(name: str, title: str, rows: Images) -> Traffic:
            task = progress.add_task(title, total=len(rows))
            with OipClient(running.endpoint, _KEYS[name]) as client:
                return send(client, rows, meter, lambda n: progress.advance(task, n))

        test, ordinary = demo.split.test_x, demo.scenario.honest_queries
        return Sent(
            honest=sends("honest", "honest account", test[:ordinary]),
            heavy=sends("heavy", "heavy honest account", test),
            thief=sends("thief", "thief, defended", demo.queries),
            undefended=sends("undefended", "thief, no defense", demo.queries),
            own_test=sends("undefended", "the protectee's own", test).answers,
        )


def write_accounts(folder: Path) -> Path:
    """Write accounts.yaml of the four accounts into a folder; its path."""
    accounts = [
        {
            "id": name,
            "key_sha256": hashlib.sha256(key.encode()).hexdigest(),
            **({"profile": "observe"} if name == "undefended" else {}),
        }
        for name, key in _KEYS.items()
    ]
    path = folder / "accounts.yaml"
    path.write_text(yaml.safe_dump({"accounts": accounts}, sort_keys=False))
    return path

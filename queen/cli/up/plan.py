"""The plan of a deployment on this machine: command lines and settings of the three services."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from queen_inference.settings import InferenceSettings
from queen_perturber.settings import PerturberSettings

from queen.bundle import Bundle
from queen.cli.state import StateFolder
from queen.cli.up.child import Child, Ready
from queen.defaults import BREADTH, CLASS_CAP
from queen.errors import ConfigError
from queen.method.crossing import cap_text
from queen.serving.ports.place import UNIX
from queen.serving.settings import ServiceSettings
from queen.serving.settings_sources import load_settings

SERVICES = ("sensitivity", "perturber", "inference")
"""The services in the order in which they start, the front door last; they stop in reverse."""
ENGINES = {"sensitivity": "faiss", "perturber": "torch", "inference": "onnxruntime"}
"""The library that the extra of a service installs."""
AWAIT_PEERS_SECONDS = 60.0
"""Longest wait of a first front door for the two others, which serve by then."""


@dataclass(frozen=True)
class Plan:
    """The operator's choices for a deployment, and the flags of the services that follow."""

    bundle: Bundle
    state: StateFolder
    accounts: Path
    host: str
    port: int
    metrics_port: int
    budget: int
    profile: str
    failure_mode: str
    allow_clean_answers: bool
    device: str
    ledger: str | None = None
    """URL of the ledgers; None if they are a file in the state folder."""
    replicas: int = 1
    """Processes of the sensitivity service."""
    breadth: int = BREADTH
    class_cap: int = CLASS_CAP

    def names(self, service: str) -> list[str]:
        """Names of a service's processes: its own, or sensitivity-0, sensitivity-1, ..."""
        if service != "sensitivity" or self.replicas == 1:
            return [service]
        return [f"{service}-{index}" for index in range(self.replicas)]

    def flags(
        self,
        service: str,
        ready: Ready | None = None,
        peers: Mapping[str, str] | None = None,
        name: str = "",
    ) -> list[str]:
        """Flags of a service, or of its process `name`.

        `ready` is the ready file of the process before, so that the ports stay the same. `peers`
        are the targets of the front door.
        """
        ready_file = self.state.ready_file(name or service)
        pairs = {"bundle": str(self.bundle.path), "ready-file": str(ready_file)}
        pairs["log-file"] = str(self.state.log(name or service))
        if service == "inference":
            pairs |= self._inference_flags(peers or {})
            if ready is None:
                pairs["await-peers-seconds"] = str(AWAIT_PEERS_SECONDS)
        else:
            pairs |= self._inner_flags(service, name or service)
        for key, flag in (("address", "port"), ("metrics", "metrics-port")):
            # A Unix socket has its path among the flags already.
            if ready and key in ready and not ready[key].startswith(UNIX):
                pairs[flag] = str(port_of(ready[key]))
        flags = [f"--{flag}={value}" for flag, value in pairs.items()]
        allow = service == "inference" and self.allow_clean_answers
        return [*flags, *(["--allow-clean-answers"] if allow else [])]

    def _inner_flags(self, service: str, name: str) -> dict[str, str]:
        """Flags of a process that is not the front door: other users cannot reach its socket."""
        own = {"socket": str(self.state.socket(name)), "metrics-port": "0"}
        if service == "perturber":
            retiring = str(self.state.retiring_secret)
            secrets = {"secret-file": str(self.state.secret), "retiring-secret-file": retiring}
            return own | secrets | {"device": self.device}
        state = {} if self.ledger else {"state": str(self.state.ledger)}
        admin = {
            "admin-socket": str(self.state.socket(f"{name}-admin")),
            "operators": str(self.state.operators),
        }
        own |= {"budget": str(self.budget), "breadth": str(self.breadth)}
        return own | admin | state | {"class-cap": cap_text(self.class_cap)}

    def _environment(self, service: str) -> dict[str, str]:
        """Variables of a service: a URL may hold a password, and flags are visible to others."""
        if service == "sensitivity" and self.ledger:
            return {settings_of(service).variable("state"): self.ledger}
        return {}

    def _inference_flags(self, peers: Mapping[str, str]) -> dict[str, str]:
        return {
            "host": self.host,
            "port": str(self.port),
            "metrics-port": str(self.metrics_port),
            "accounts": str(self.accounts),
            "default-profile": self.profile,
            "failure-mode": self.failure_mode,
            "decision-log-file": str(self.state.decisions),
            **{f"{name}-target": address for name, address in peers.items()},
        }

    def check_settings(self) -> None:
        """ConfigError if a service would refuse its flags or its environment."""
        if self.replicas > 1 and not self.ledger:
            raise ConfigError(
                f"--replicas {self.replicas} needs ledgers that they can share: give --state "
                "redis://HOST:6379; a SQLite file serves one replica"
            )
        for service in SERVICES:
            self.settings(service)

    def settings(self, service: str) -> ServiceSettings:
        """The settings that a service will have; ConfigError if it would refuse them."""
        hidden = [f"--state={url}" for url in self._environment(service).values()]
        return load_settings(settings_of(service), [*self.flags(service), *hidden])

    def children(self, service: str, peers: Mapping[str, str] | None = None) -> list[Child]:
        """The processes of a service, not started; `peers` are the targets of the front door."""
        return [self._child(service, name, peers) for name in self.names(service)]

    def _child(self, service: str, name: str, peers: Mapping[str, str] | None) -> Child:
        # -P: a folder `queen` in the working directory must not be imported.
        start = [sys.executable, "-P", "-m", f"queen_{service}"]
        return Child(
            name=name,
            argv=lambda ready: [*start, *self.flags(service, ready, peers, name)],
            log=self.state.rotate_log(name),
            ready_file=self.state.ready_file(name),
            environment=self._environment(service),
        )


def settings_of(service: str) -> type[ServiceSettings]:
    """The settings class of a service."""
    if service == "sensitivity":
        # It needs the client of Redis, which only the extra of this service installs.
        from queen_sensitivity.settings import SensitivitySettings  # noqa: PLC0415

        return SensitivitySettings
    others: Mapping[str, type[ServiceSettings]] = {
        "perturber": PerturberSettings,
        "inference": InferenceSettings,
    }
    return others[service]


def port_of(address: str) -> int:
    """The port in host:port."""
    return int(address.rpartition(":")[2])


def missing_extras(services: Sequence[str] = SERVICES) -> list[str]:
    """Services whose engine is not installed, by the names of their extras."""
    return [name for name in services if importlib.util.find_spec(ENGINES[name]) is None]

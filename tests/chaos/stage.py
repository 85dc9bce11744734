"""The deployment under faults: starts its processes and the proxies between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.chaos.proxy import FaultProxy, Faults
from tests.chaos.setting import Setting
from tests.integration.inference.door import write_accounts
from tests.operators import write_operators
from tests.redis_servers import RedisServer
from tests.service_process import ServiceProcess

BUDGET = 4000
"""Records of a class: more than a scenario makes."""
SPENT_BUDGET = 5
GROUPS = {"pair-0": "pair", "pair-1": "pair"}
ACCOUNTS = {
    "shared-0": "",
    "shared-1": "",
    **{f"lone-{index}": "" for index in range(4)},
    "spent": f"budget: {SPENT_BUDGET}",
    "hasty": "",
    **{account: f"group: {group}" for account, group in GROUPS.items()},
}
"""Accounts of the front door, with their policies in accounts.yaml."""


@dataclass
class Stage:
    """Replicas of sensitivity over one store, a front door, and a proxy on each link.

    `store_links` are between replicas and Redis, `peer_links` between the front door and the
    replicas, one for each replica. A cluster has no `store_links`: its servers tell
    clients their own addresses.
    """

    door: ServiceProcess
    replicas: list[ServiceProcess]
    store_links: list[FaultProxy]
    peer_links: list[FaultProxy]
    _counted: dict[str, float] = field(default_factory=dict)

    def clear(self) -> None:
        """End every fault of the network."""
        for link in (*self.store_links, *self.peer_links):
            link.clear()

    def break_links(self, which: Literal["store", "peer"], faults: Faults) -> None:
        """Put all links of a kind under a fault."""
        for link in self.store_links if which == "store" else self.peer_links:
            link.set(faults)

    def kill(self, replica: ServiceProcess) -> None:
        """SIGKILL a replica; its counts are kept."""
        for result in ("regressed", "conflict"):
            self._counted[result] = self._counted.get(result, 0.0) + _appends(replica, result)
        replica.kill()

    def appends(self, result: str) -> int:
        """`queen_state_cas_total` of a result, over all replicas, killed ones too."""
        now = sum(_appends(replica, result) for replica in self.replicas if replica.is_running)
        return int(now + self._counted.get(result, 0.0))


def _appends(replica: ServiceProcess, result: str) -> float:
    return replica.metric("queen_state_cas_total", result=result)


def door_target(ports: Sequence[int]) -> str:
    """The targets of several replicas, over which the front door spreads its accounts."""
    return ",".join(f"127.0.0.1:{port}" for port in ports)


@contextmanager
def open_stage(
    setting: Setting,
    folder: Path,
    servers: Sequence[RedisServer],
    *,
    replicas: int = 2,
    failure_mode: str = "protect",
) -> Iterator[Stage]:
    """A stage on loopback over `servers`, a Redis or the nodes of a cluster."""
    small, seed = setting.small, setting.seed
    with ExitStack() as stack:

        def link(port: int, offset: int) -> FaultProxy:
            proxy = FaultProxy(setting.loop, port, seed + offset)
            stack.callback(proxy.close)
            return proxy

        # A cluster has no links: its servers tell clients their own addresses.
        store_links = [
            link(servers[0].port, index) for index in range(replicas) if len(servers) == 1
        ]
        direct = [server.port for server in servers]
        processes = []
        for index in range(replicas):
            ports = [store_links[index].port] if store_links else direct
            process = ServiceProcess(
                "sensitivity",
                folder,
                name=f"sensitivity-{index}",
                bundle=small.path,
                state=state_url(ports),
                admin_port=0,
                operators=write_operators(folder),
                budget=BUDGET,
                breadth=1,
            )
            stack.callback(process.end)
            processes.append(process.launch())
        peer_links = [
            link(process.await_ready().port, 100 + index) for index, process in enumerate(processes)
        ]
        door = ServiceProcess(
            "inference",
            folder,
            bundle=small.path,
            accounts=write_accounts(folder, **ACCOUNTS),
            sensitivity_target=door_target([peer.port for peer in peer_links]),
            perturber_target=setting.perturber.address,
            default_profile="paper",
            failure_mode=failure_mode,
            # What the service does in an outage is judged for as long as it lasts.
            unassessed_rows=1 << 30,
        )
        stack.callback(door.end)
        yield Stage(door.start(), processes, store_links, peer_links)


def state_url(ports: Sequence[int]) -> str:
    """The setting `state` for one Redis, or for the nodes of a cluster."""
    if len(ports) == 1:
        return f"redis://127.0.0.1:{ports[0]}"
    return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)

"""The deployment that is put under faults: where its processes and proxies are started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.bundles import SmallBundle
from tests.chaos.processes import ServiceProcess
from tests.chaos.proxy import FaultProxy, Faults, ProxyLoop
from tests.integration.inference.door import write_accounts
from tests.redis_servers import RedisServer

BUDGET = 4000
"""Records of a class: more than a scenario makes."""
SPENT_BUDGET = 5
GROUPS = {"pair-0": "pair", "pair-1": "pair"}
ACCOUNTS = {
    "shared-0": "",
    "shared-1": "",
    **{f"lone-{number}": "" for number in range(4)},
    "spent": f"budget: {SPENT_BUDGET}",
    "hasty": "",
    **{account: f"group: {group}" for account, group in GROUPS.items()},
}
"""Accounts of the front door, with what accounts.yaml says of them."""


@dataclass
class Stage:
    """Replicas of sensitivity over one store, a front door, and a proxy on each way.

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
        """SIGKILL a replica; what it had counted is kept."""
        for result in ("regressed", "conflict"):
            self._counted[result] = self._counted.get(result, 0.0) + _appends(replica, result)
        replica.kill()

    def appends(self, result: str) -> int:
        """`queen_state_cas_total` of a result, over all replicas that there were."""
        running = [one for one in self.replicas if one.is_running]
        now = sum(_appends(replica, result) for replica in running)
        return int(now + self._counted.get(result, 0.0))


def _appends(replica: ServiceProcess, result: str) -> float:
    return replica.metric("queen_state_cas_total", result=result)


def door_target(ports: Sequence[int]) -> str:
    """The targets of several replicas, over which the front door spreads its accounts."""
    return ",".join(f"127.0.0.1:{port}" for port in ports)


@contextmanager
def perturber_process(small: SmallBundle, folder: Path) -> Iterator[ServiceProcess]:
    """A perturber, which keeps nothing and can serve every scenario."""
    secret = folder / "secret"
    secret.write_bytes(b"s" * 32)
    process = ServiceProcess(
        "perturber", "perturber", folder, bundle=small.path, secret_file=secret, device="cpu"
    )
    try:
        yield process.start()
    finally:
        process.end()


@contextmanager
def open_stage(
    small: SmallBundle,
    folder: Path,
    servers: Sequence[RedisServer],
    perturber: ServiceProcess,
    loop: ProxyLoop,
    *,
    replicas: int = 2,
    failure_mode: str = "protect",
    seed: int = 0,
) -> Iterator[Stage]:
    """All of it on loopback over `servers`, one Redis or the nodes of a cluster."""
    with ExitStack() as stack:
        links = _store_links(servers, loop, replicas, seed, stack)
        ports = [[link.port] for link in links] or replicas * [[one.port for one in servers]]
        processes = [
            ServiceProcess(
                "sensitivity",
                f"sensitivity-{number}",
                folder,
                bundle=small.path,
                state=state_url(ports[number]),
                admin_port=0,
                budget=BUDGET,
            )
            for number in range(replicas)
        ]
        for process in processes:
            stack.callback(process.end)
            process.launch()
        peers = []
        for number, process in enumerate(processes):
            port = int(process.await_ready().address.rpartition(":")[2])
            peers.append(_link(loop, port, seed + 100 + number, stack))
        door = ServiceProcess(
            "inference",
            "inference",
            folder,
            bundle=small.path,
            accounts=write_accounts(folder, **ACCOUNTS),
            sensitivity_target=door_target([peer.port for peer in peers]),
            perturber_target=perturber.address,
            failure_mode=failure_mode,
        )
        stack.callback(door.end)
        yield Stage(door.start(), processes, links, peers)


def _store_links(
    servers: Sequence[RedisServer], loop: ProxyLoop, replicas: int, seed: int, stack: ExitStack
) -> list[FaultProxy]:
    if len(servers) > 1:
        return []
    return [_link(loop, servers[0].port, seed + number, stack) for number in range(replicas)]


def _link(loop: ProxyLoop, port: int, seed: int, stack: ExitStack) -> FaultProxy:
    proxy = FaultProxy(loop, port, seed)
    stack.callback(proxy.close)
    return proxy


def state_url(ports: Sequence[int]) -> str:
    """The setting `state` for one Redis, or for the nodes of a cluster."""
    if len(ports) == 1:
        return f"redis://127.0.0.1:{ports[0]}"
    return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)

"""Redis servers that replicate, and replicas of them that lag behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from queen_sensitivity.ledger_store import open_redis_store

from queen.method.geometry import Geometry
from tests.chaos.checks.ledgers import Ledgers
from tests.chaos.proxy import HALF_OPEN, FaultProxy, ProxyLoop
from tests.chaos.stage import state_url
from tests.redis_servers import LOOPBACK, RedisServer, free_port, redis_cluster, redis_server
from tests.waiting import eventually

_PRIMARY = ("--repl-diskless-sync-delay", "0")


@dataclass
class ReplicatedPair:
    """A primary, and a replica that replicates through a proxy."""

    primary: RedisServer
    replica: RedisServer
    link: FaultProxy

    def lag(self) -> None:
        """Let nothing more reach the replica."""
        self.link.set(HALF_OPEN)

    def promote(self) -> None:
        """Make the replica a primary, with the records that reached it."""
        with self.replica.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        self.link.close()


@contextmanager
def replicated_pair(folder: Path, loop: ProxyLoop) -> Iterator[ReplicatedPair]:
    """Both servers, once the replica has all that the primary has."""
    with ExitStack() as stack:
        primary = stack.enter_context(redis_server(folder / "primary", *_PRIMARY))
        link = FaultProxy(loop, primary.port)
        stack.callback(link.close)
        words = ("--replicaof", LOOPBACK, str(link.port))
        replica = stack.enter_context(redis_server(folder / "replica", *words))
        _settle(lambda: _is_linked(replica), [primary, replica])
        yield ReplicatedPair(primary, replica, link)


@contextmanager
def replicated_cluster(folder: Path) -> Iterator[tuple[list[RedisServer], list[RedisServer]]]:
    """Three primaries that have all slots, and a replica of each, in the same order."""
    with ExitStack() as stack:
        primaries = stack.enter_context(redis_cluster(folder / "primaries"))
        replicas = []
        for index, primary in enumerate(primaries):
            words = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
            words += ["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"]
            replica = stack.enter_context(redis_server(folder / f"replica-{index}", *words))
            replicas.append(replica)
            _replicate(primary, replica, [*primaries, *replicas])
        yield primaries, replicas


def cut_off(primary: RedisServer, replica: RedisServer) -> None:
    """End replication for good: the replica offers a password that the primary refuses."""
    with primary.client() as origin, replica.client() as copy:
        copy.config_set("masterauth", "of-another-primary")
        origin.execute_command("CLIENT", "KILL", "TYPE", "replica")
    _settle(lambda: not _is_linked(replica), [primary, replica])


def promote_replicas(primaries: Sequence[RedisServer], replicas: Sequence[RedisServer]) -> None:
    """Make the replicas primaries, with the records that reached them, for all servers to see."""
    for replica in replicas:
        with replica.client() as client:
            client.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
    ports = {replica.port for replica in replicas}
    servers = [*primaries, *replicas]
    _settle(lambda: all(_primary_ports(server) == ports for server in servers), servers)


def held_by(servers: Sequence[RedisServer], geometry: Geometry, accounts: Sequence[str]) -> Ledgers:
    """The ledgers of these accounts in a Redis or a cluster."""
    store = open_redis_store(state_url([server.port for server in servers]))
    try:
        return {account: store.load(account, geometry.digest) for account in accounts}
    finally:
        store.close()


def _replicate(primary: RedisServer, replica: RedisServer, known: Sequence[RedisServer]) -> None:
    with primary.client() as origin, replica.client() as copy:
        name = _node_id(origin)
        bus = int(origin.config_get("cluster-port")["cluster-port"])
        copy.execute_command("CLUSTER", "MEET", LOOPBACK, primary.port, bus)
        _settle(lambda: _knows(copy, name), known)
        copy.execute_command("CLUSTER", "REPLICATE", name)
    _settle(lambda: _is_linked(replica), known)


def _node_id(client: redis.Redis) -> str:
    name = client.execute_command("CLUSTER", "MYID")
    return name.decode() if isinstance(name, bytes) else str(name)


def _knows(client: redis.Redis, node_id: str) -> bool:
    nodes: dict[str, dict[str, str]] = client.execute_command("CLUSTER NODES")
    return any(
        node["node_id"] == node_id and "handshake" not in node["flags"] for node in nodes.values()
    )


def _primary_ports(server: RedisServer) -> set[int]:
    with server.client() as client:
        ranges = client.execute_command("CLUSTER SLOTS")
    return {int(primary[1]) for _first, _last, primary, *_rest in ranges}


def _is_linked(replica: RedisServer) -> bool:
    with replica.client() as client:
        state = client.info("replication")
    return bool(state.get("master_link_status") == "up")


def _settle(claim: Callable[[], bool], servers: Sequence[RedisServer]) -> None:
    """Wait until the servers are as claimed; a failure shows the ends of their logs."""
    eventually(claim, why_not=lambda: [server.log.read_text()[-500:] for server in servers])

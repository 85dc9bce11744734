"""Sends commands to a Redis or a cluster, many in one round trip, with errors of Queen."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from redis import Redis
from redis import exceptions as redis_errors
from redis.cluster import RedisCluster

from queen.errors import DependencyUnavailable, LedgerCorrupt, LedgerFull
from queen_sensitivity.ledger_store.redis.address import RedisOptions
from queen_sensitivity.ledger_store.redis.breaker import CircuitBreaker
from queen_sensitivity.ledger_store.redis.scripts import Command

_ROUNDS = 4
"""Most round trips of one call: the first, a script sent in full, two changes of a cluster."""
UNREACHABLE = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.RedisClusterException,
    ssl.SSLError,
    OSError,
)
"""Errors that say nothing of the command: the right server did not answer."""
_TAKES_NOTHING = {"OOM", "READONLY", "MISCONF", "NOREPLICAS"}
"""Codes of a server that answers and takes no writes: its memory or its disk is full, or it is a
replica, or has too few of them."""
_OTHER_TYPE = "WRONGTYPE"
"""Code of a server that has something else under a key."""
_WAIT_FOR = {"local": (1, 0), "replica": (1, 1)}


class _Sent(NamedTuple):
    """A command under way: the index of its reply, and the server to which it was redirected."""

    reply: int
    command: Command
    asking: Redis | None = None


class RedisLink:
    """Sends every command to the server that has its key.

    Safe from any thread. Messages of its errors hold no key, account, host or secret.
    """

    def __init__(
        self, client: Redis | RedisCluster, options: RedisOptions, breaker: CircuitBreaker
    ) -> None:
        self._client = client
        self._breaker = breaker
        self._wait = _WAIT_FOR.get(options.durability)
        self._wait_milliseconds = round(1000 * options.durability_timeout_seconds)
        self._is_stale = False
        self._own = threading.local()

    def exchange(
        self, commands: Sequence[Command], *, is_write: bool = False, is_partial: bool = False
    ) -> list[Any]:
        """The replies to `commands`, sent in one pipeline to each server.

        Writes wait for the disk where the durability setting asks for it. Raises
        DependencyUnavailable; it is then unknown which of the commands took place. A server that
        takes no writes, or has something else under a key, raises LedgerFull or LedgerCorrupt; an
        exchange that `is_partial` has these errors among its replies.
        """
        replies = self._replies(commands, is_write)
        failures = [reply for reply in replies if isinstance(reply, Exception)]
        if failures and not is_partial:
            raise failures[0]
        return replies

    def _replies(self, commands: Sequence[Command], is_write: bool) -> list[Any]:
        with self._guarded():
            if len(commands) == 1 and commands[0].script and not (is_write and self._wait):
                client = self._client
                if isinstance(client, Redis):
                    with suppress(redis_errors.NoScriptError):
                        return [self._script_reply(client, commands[0])]
            self._renew_topology()
            replies: list[Any] = [None] * len(commands)
            waiting = [_Sent(index, command) for index, command in enumerate(commands)]
            for _ in range(_ROUNDS):
                waiting = self._round(waiting, replies, is_write)
                if not waiting:
                    return replies
        raise DependencyUnavailable("the ledger store kept sending us from server to server")

    def servers(self) -> list[Redis]:
        """A client of each server that holds ledgers."""
        if isinstance(self._client, RedisCluster):
            primaries = self._client.get_primaries()
            return [self._client.get_redis_connection(node) for node in primaries]
        return [self._client]

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _script_reply(self, server: Redis, command: Command) -> Any:
        """The reply to one script call.

        It goes straight to a connection that this thread keeps: the client's own work around a
        command, or around a pipeline of one, takes as long as the server. A script's reply
        needs no callback of the client.
        """
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = server.connection_pool.get_connection()
        try:
            connection.connect()
            if _is_closed(connection):
                connection.disconnect()
                connection.connect()
            connection.send_command(*command.words)
            return connection.read_response()
        except redis_errors.ResponseError as error:
            failure = _own_failure(error)
            if failure is None:
                raise
            return failure
        except BaseException:
            # The reply may still come, and would be read as the reply to the next command.
            connection.disconnect()
            raise

    def _round(self, waiting: list[_Sent], replies: list[Any], is_write: bool) -> list[_Sent]:
        """Send a pipeline to each server; returns the commands that have to be sent again."""
        groups: dict[tuple[Redis, bool], list[_Sent]] = {}
        for sent in waiting:
            is_asking = sent.asking is not None
            server = sent.asking or self._server(sent.command.key)
            groups.setdefault((server, is_asking), []).append(sent)
        unanswered: list[_Sent] = []
        for (server, is_asking), group in groups.items():
            replies_here = self._pipeline(server, group, is_asking, is_write)
            for sent, reply in zip(group, replies_here, strict=True):
                follower = self._follow(sent, reply)
                if follower is None:
                    replies[sent.reply] = _own_failure(reply) or reply
                else:
                    unanswered.append(follower)
        return unanswered

    def _pipeline(
        self, server: Redis, group: list[_Sent], is_asking: bool, is_write: bool
    ) -> list[Any]:
        wait = self._wait if is_write else None
        with server.pipeline(transaction=False) as pipeline:
            for sent in group:
                if is_asking:
                    pipeline.execute_command("ASKING")
                pipeline.execute_command(*sent.command.words)
            if wait is not None:
                # WAITAOF covers the writes of its own connection only.
                pipeline.execute_command("WAITAOF", *wait, self._wait_milliseconds)
            replies = pipeline.execute(raise_on_error=False)
        if wait is not None:
            disks = replies.pop()
            # A replica, which takes no writes, cannot wait for its disk either.
            is_refusing = any(isinstance(_own_failure(reply), LedgerFull) for reply in replies)
            if not (is_refusing and isinstance(disks, Exception)):
                _require_durable(disks, wait)
        return list(replies[1::2] if is_asking else replies)

    def _follow(self, sent: _Sent, reply: Any) -> _Sent | None:
        """The command to send after such a reply; None if the reply is the answer."""
        if isinstance(reply, redis_errors.NoScriptError) and sent.command.script:
            return sent._replace(command=sent.command.with_text())
        if isinstance(reply, redis_errors.AskError) and isinstance(self._client, RedisCluster):
            return self._redirected(self._client, sent, reply)
        if isinstance(reply, Exception) and _own_failure(reply) is None:
            raise reply
        return None

    def _redirected(
        self, cluster: RedisCluster, sent: _Sent, reply: redis_errors.AskError
    ) -> _Sent:
        if isinstance(reply, redis_errors.MovedError):
            cluster.nodes_manager.move_slot(reply)
            return sent._replace(asking=None)
        node = cluster.get_node(host=reply.host, port=reply.port)
        if node is None:
            self._is_stale = True
            raise reply
        return sent._replace(asking=cluster.get_redis_connection(node))

    def _server(self, key: str) -> Redis:
        if isinstance(self._client, RedisCluster):
            return self._client.get_redis_connection(self._client.get_node_from_key(key))
        return self._client

    def _renew_topology(self) -> None:
        """Ask a cluster for its servers again, after a server did not answer."""
        if self._is_stale and isinstance(self._client, RedisCluster):
            self._client.nodes_manager.initialize()
            self._is_stale = False

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn Redis's errors into Queen's, named by their type alone: their text may hold keys."""
        if not self._breaker.admits():
            raise DependencyUnavailable("the ledger store does not answer; not asked again yet")
        try:
            yield
        except UNREACHABLE as error:
            self._is_stale = True
            self._breaker.failed()
            raise DependencyUnavailable(
                f"the ledger store did not answer ({type(error).__name__})"
            ) from None
        except redis_errors.RedisError as error:
            self._breaker.succeeded()
            raise DependencyUnavailable(
                f"the ledger store refused a command ({type(error).__name__})"
            ) from None
        self._breaker.succeeded()


def _own_failure(reply: Any) -> LedgerFull | LedgerCorrupt | None:
    """The error of a reply that says nothing of other commands, if it is one.

    A server without room refuses the first write of a script, so LedgerFull has changed nothing.
    """
    if not isinstance(reply, redis_errors.ResponseError):
        return None
    if isinstance(reply, redis_errors.OutOfMemoryError):
        code = "OOM"
    elif isinstance(reply, redis_errors.ReadOnlyError):
        code = "READONLY"
    else:
        code = str(reply).partition(" ")[0]
    if code in _TAKES_NOTHING:
        return LedgerFull(f"the ledger store takes no records ({code}); make room, or mend it")
    if code == _OTHER_TYPE:
        return LedgerCorrupt("the ledger store holds something else than records in a ledger")
    return None


def _is_closed(connection: Any) -> bool:
    """Whether the server has closed an idle connection, which shows as something to read."""
    try:
        return bool(connection.can_read())
    except UNREACHABLE:
        return True


def _require_durable(reply: Any, wanted: tuple[int, int]) -> None:
    if isinstance(reply, Exception):
        raise reply
    local, replicas = reply
    if local < wanted[0] or replicas < wanted[1]:
        raise DependencyUnavailable(
            f"expected an append on the disk of {wanted[0]} server and {wanted[1]} replicas "
            f"in time, got {local} and {replicas}; it may have taken place"
        )

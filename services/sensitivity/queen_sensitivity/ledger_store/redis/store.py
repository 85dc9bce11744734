"""Ledgers in Redis or Valkey, shared by any number of replicas.

A ledger is a list of packed records, and its version is the length of the list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from queen.errors import ConfigError, DependencyUnavailable, LedgerCorrupt, LedgerFull
from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    Damaged,
    LedgerKey,
    Records,
    Refused,
    Regressed,
    Renewed,
    join_records,
)
from queen_sensitivity.ledger_store.redis.address import RedisOptions, connect, read_address
from queen_sensitivity.ledger_store.redis.breaker import CircuitBreaker
from queen_sensitivity.ledger_store.redis.checks import opening, require_sound
from queen_sensitivity.ledger_store.redis.keys import (
    AUDIT_KEY,
    PROBE_KEY,
    below,
    classes_key,
    generations_key,
    index_key,
)
from queen_sensitivity.ledger_store.redis.late import LateLink
from queen_sensitivity.ledger_store.redis.link import RedisLink
from queen_sensitivity.ledger_store.redis.scripts import APPEND, ERASE, LOAD, Command, Word


def open_redis_store(
    url: str,
    options: RedisOptions = RedisOptions(),  # noqa: B008 - frozen
    clock: Callable[[], float] = time.monotonic,
    *,
    may_be_late: bool = False,
) -> RedisLedgerStore:
    """The store at the address `url`; ConfigError and DependencyUnavailable as `open_redis_link`.

    With `may_be_late` a server that does not answer yet is no error: it is asked again by later
    calls, which raise DependencyUnavailable until it answers.
    """
    if not may_be_late:
        return RedisLedgerStore(open_redis_link(url, options, clock))
    late = LateLink(partial(open_redis_link, url, options, clock), options.breaker_seconds, clock)
    try:
        return RedisLedgerStore(late.open())
    except DependencyUnavailable as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        return RedisLedgerStore(late)


def open_redis_link(
    url: str,
    options: RedisOptions = RedisOptions(),  # noqa: B008 - frozen
    clock: Callable[[], float] = time.monotonic,
) -> RedisLink:
    """A link to the servers at `url`, each of which is checked.

    `clock`, in seconds, is the circuit breaker's. Raises ConfigError for a wrong URL, for wrong
    credentials and for a server that fails a check, and DependencyUnavailable if no server
    answers.
    """
    address = read_address(url, options.password_file)
    breaker = CircuitBreaker(options.breaker_failures, options.breaker_seconds, clock)
    with opening(address):
        link = RedisLink(connect(address, options), options, breaker)
        for server in link.servers():
            require_sound(server, options.durability)
    return link


class RedisLedgerStore:
    """A `LedgerStore` over a link to Redis."""

    def __init__(self, link: RedisLink | LateLink) -> None:
        self._link = link

    def await_open(self) -> bool:
        """Whether the servers have answered once; if they have not, they are asked now."""
        if isinstance(self._link, LateLink):
            with suppress(DependencyUnavailable):
                self._link.open()
            return self._link.is_open
        return True

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`; one script call for each account."""
        results: dict[int, AppendResult] = {}
        first = [append.key for append in appends if _may_be_first(append)]
        if first:
            try:
                self._index(first)
            except LedgerFull as full:
                refused = Refused(str(full))
                results = {
                    index: refused for index, append in enumerate(appends) if _may_be_first(append)
                }
        groups: dict[tuple[str, str], list[int]] = {}
        for index, append in enumerate(appends):
            if index not in results:
                groups.setdefault(append.key[:2], []).append(index)
        commands = [_append([appends[index] for index in group]) for group in groups.values()]
        replies = self._link.exchange(commands, is_write=True, is_partial=True) if commands else []
        for group, reply in zip(groups.values(), replies, strict=True):
            results |= zip(group, _append_results(reply, len(group)), strict=True)
        return [results[index] for index in range(len(appends))]

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`; one round trip."""
        classes = classes_key(account_id, geometry_digest)
        (ledgers,) = self._link.exchange([LOAD.call([classes], [below(classes, "")])])
        return {_label(label): join_records(blobs) for label, blobs in ledgers if blobs}

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        account_ids: list[str] = []
        while len(account_ids) < limit:
            page = self._indexed(geometry_digest, after, limit)
            account_ids += self._with_records(page, geometry_digest)
            if len(page) < limit:
                break
            after = page[-1]
        return account_ids[:limit]

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`; one round trip."""
        keys = [generations_key(account_id) for account_id in account_ids]
        replies = self._link.exchange(
            [Command(key, ("HGET", key, geometry_digest)) for key in keys]
        )
        return [int(generation or 0) for generation in replies]

    def geometries(self, account_id: str) -> list[str]:
        """See `LedgerStore.geometries`."""
        key = generations_key(account_id)
        (geometries,) = self._link.exchange([Command(key, ("HKEYS", key))])
        return sorted(geometry.decode() for geometry in geometries)

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """See `LedgerStore.erase`.

        The account leaves the index after its records: if another replica appended meanwhile,
        the account is put back into the index, and a second generation refuses every replica
        that looked at the index before.
        """
        if not geometry_digests:
            return
        digests = list(geometry_digests)
        removing = _erase(account_id, digests, least_generation, is_removing=True)
        self._link.exchange([removing], is_write=True)
        member = account_id.encode()
        keys = [index_key(geometry) for geometry in digests]
        leaving = [Command(key, ("ZREM", key, member)) for key in keys]
        self._link.exchange(leaving, is_write=True)
        sealing = _erase(account_id, digests, least_generation, is_removing=False)
        (has_records,) = self._link.exchange([sealing], is_write=True)
        pairs = zip(digests, has_records, strict=True)
        self._index(LedgerKey(account_id, geometry, 0) for geometry, is_there in pairs if is_there)

    def append_audit(self, entry: bytes) -> None:
        """See `LedgerStore.append_audit`."""
        self._link.exchange([Command(AUDIT_KEY, ("RPUSH", AUDIT_KEY, entry))], is_write=True)

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """See `LedgerStore.read_audit`."""
        words = ("LRANGE", AUDIT_KEY, after, after + limit - 1)
        (entries,) = self._link.exchange([Command(AUDIT_KEY, words)])
        return list(entries)

    def probe(self) -> bool:
        """See `LedgerStore.probe`.

        A ZADD that may change entries alone, of a key without any, keeps nothing: it is refused
        where other writes would be.
        """
        words = ("ZADD", PROBE_KEY, "XX", 0, "")
        self._link.exchange([Command(PROBE_KEY, words)])
        return True

    def close(self) -> None:
        """See `LedgerStore.close`."""
        self._link.close()

    def _index(self, keys: Iterable[LedgerKey]) -> None:
        """Put accounts that may be new into the index, before they have a record.

        The index may lie on another server than the record, so the two cannot be written
        together: an entry without a record is skipped when accounts are listed, a record
        without an entry would never be listed.
        """
        members: dict[str, dict[str, None]] = {}
        for key in keys:
            members.setdefault(key.geometry_digest, {})[key.account_id] = None
        if members:
            commands = [_zadd(geometry, list(ids)) for geometry, ids in members.items()]
            self._link.exchange(commands, is_write=True)

    def _indexed(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        # Bytes of UTF-8 are in the order of the code points.
        key = index_key(geometry_digest)
        words = ("ZRANGEBYLEX", key, b"(" + after.encode(), "+", "LIMIT", 0, limit)
        (page,) = self._link.exchange([Command(key, words)])
        return [account_id.decode() for account_id in page]

    def _with_records(self, account_ids: Sequence[str], geometry_digest: str) -> list[str]:
        keys = [classes_key(account_id, geometry_digest) for account_id in account_ids]
        replies = self._link.exchange([Command(key, ("EXISTS", key)) for key in keys])
        return [name for name, is_there in zip(account_ids, replies, strict=True) if is_there]


def _may_be_first(append: Append) -> bool:
    return append.expected_version == 0 and len(append.records) > 0


def _zadd(geometry_digest: str, account_ids: Sequence[str]) -> Command:
    key = index_key(geometry_digest)
    entries = [word for account_id in account_ids for word in (0, account_id.encode())]
    return Command(key, ("ZADD", key, *entries))


def _append(appends: Sequence[Append]) -> Command:
    """All appends of one account under one geometry."""
    account_id, geometry, _ = appends[0].key
    generations = generations_key(account_id)
    classes = below(generations, geometry)
    keys = [generations, classes]
    arguments: list[Word] = [geometry]
    for append in appends:
        keys.append(below(classes, append.key.label))
        blobs = _blobs(append.records)
        arguments += [append.key.label, append.generation, append.expected_version]
        arguments += [append.behind, len(blobs), *blobs]
    return APPEND.call(keys, arguments)


def _erase(
    account_id: str, geometry_digests: Sequence[str], least_generation: int, *, is_removing: bool
) -> Command:
    keys = [generations_key(account_id)]
    keys += [classes_key(account_id, geometry) for geometry in geometry_digests]
    return ERASE.call(keys, [least_generation, int(is_removing), *geometry_digests])


_RESULTS: dict[bytes, type[Appended | Regressed | Renewed]] = {
    b"appended": Appended,
    b"regressed": Regressed,
    b"renewed": Renewed,
}


def _append_results(reply: Any, count: int) -> list[AppendResult]:
    """The results of the appends of one account."""
    if isinstance(reply, LedgerFull):
        return [Refused(str(reply))] * count
    if isinstance(reply, LedgerCorrupt):
        return [Damaged()] * count
    return [_append_result(result) for result in reply]


def _append_result(reply: Any) -> AppendResult:
    kind, content = reply
    if kind == b"conflict":
        try:
            return Conflict(join_records(content))
        except LedgerCorrupt:
            return Damaged()
    return _RESULTS[kind](int(content))


def _label(word: bytes) -> int:
    if not word.isdigit():
        raise LedgerCorrupt("expected the number of a class in the ledger store, got another word")
    return int(word)


def _blobs(records: Records) -> list[bytes]:
    return [record.tobytes() for record in np.ascontiguousarray(records, "<f4")]

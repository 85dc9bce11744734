"""Crossings of all replicas as one stream: each tells of the accounts that it serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import grpc

from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.admin_client import AdminClient
from queen.cli.accounts.admin_reach import words
from queen.cli.refusal import Refusal

RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.5
"""A Ctrl-C that comes just before a wait begins is seen when it ends: it has to end."""


@dataclass(frozen=True)
class Watched:
    """What a replica tells is heard from now on."""

    name: str


@dataclass(frozen=True)
class Lost:
    """A replica is not heard; it is tried again."""

    name: str
    problem: str


News = pb.WatchCrossingsResponse | Watched | Lost


def watch_all(addresses: Mapping[str, str]) -> Iterator[News]:
    """What the admin ports tell, as it comes; `addresses` are by the name of the process.

    Raises Refusal, in the words of the last, once none of them is heard.
    """
    news: SimpleQueue[News] = SimpleQueue()
    for name, address in addresses.items():
        # A daemon: it waits for the server, and ends with this process.
        threading.Thread(target=_follow, args=(name, address, news), daemon=True).start()
    lost: set[str] = set()
    while True:
        try:
            latest = news.get(timeout=LOOK_SECONDS)
        except Empty:
            continue
        if isinstance(latest, Watched):
            lost.discard(latest.name)
        elif isinstance(latest, Lost):
            if latest.name in lost:
                continue
            lost.add(latest.name)
            if lost == addresses.keys():
                raise Refusal(latest.problem)
        yield latest


def _follow(name: str, address: str, news: SimpleQueue[News]) -> None:
    """Pass on what one admin port tells, over its restarts, for ever."""
    while True:
        problem = "the service ended the watch"
        try:
            with AdminClient(address) as client:
                for event in client.crossings(begun=lambda: news.put(Watched(name))):
                    news.put(event)
        except grpc.RpcError as error:
            problem = words(error, address)
        news.put(Lost(name, problem))
        time.sleep(RETRY_SECONDS)

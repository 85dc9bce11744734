"""`queen accounts watch`: the crossings of all replicas as one stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue

import click
import grpc

from queen.cli.accounts.admin_client import AdminClient, Credential
from queen.cli.accounts.admin_values import Crossing, Missed
from queen.cli.accounts.deployment import Deployment, deployment_options, error_sentence
from queen.cli.refusal import Refusal
from queen.printable import printable

RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.5
"""Longest wait for news: a Ctrl-C that comes just before a wait is noticed when the wait ends."""


@dataclass(frozen=True)
class Watched:
    """News: the events of a replica are received from now on."""

    name: str


@dataclass(frozen=True)
class Lost:
    """News: a replica's events are not received; the watch connects again."""

    name: str
    problem: str


News = Crossing | Missed | Watched | Lost
Follow = Callable[[str, str, SimpleQueue[News]], None]
"""Puts the news of one admin port, by its name and address, into a queue, and never returns."""


@click.command()
@deployment_options
def watch(deployment: Deployment) -> None:
    """Print a line for each crossing, until Ctrl-C.

    A class is crossed, an account is over its budget, or it is off-distribution.

    The command watches all replicas of `queen up`, also a replica that is started again.
    """
    for news in watch_all(deployment.admin_ports, partial(follow_port, deployment.credential)):
        if isinstance(news, Crossing | Missed):
            click.echo(event_line(news))
        elif isinstance(news, Lost):
            click.echo(f"{news.name} is not watched: {news.problem}", err=True)
        else:
            click.echo(f"{news.name} is watched", err=True)


def event_line(event: Crossing | Missed) -> str:
    """An event in words."""
    if isinstance(event, Missed):
        return f"{event.count} events were missed: this terminal did not read in time"
    when = datetime.fromtimestamp(event.time_unix_nanos / 1e9, UTC).isoformat(timespec="seconds")
    account = f"{when} '{printable(event.account_id)}'"
    if event.kind == "off distribution":
        return f"{account} is off-distribution: {event.level:.4g} of {event.limit:.4g}"
    if event.kind == "breadth":
        return f"{account} is over its budget: {event.level:.0f} of {event.limit:.0f} classes"
    cqs = f"class {event.label}: cqs {event.level:.4g} over"
    if event.kind == "class cap":
        return f"{account} is over its budget, {cqs} its cap {event.limit:.4g}"
    return f"{account} {cqs} T {event.limit:.4g}"


def watch_all(addresses: Mapping[str, str], follow: Follow) -> Iterator[News]:
    """The news of the admin ports as they come; `addresses` are by the name of the process.

    Raises Refusal, with the problem of the last replica, once no replica is watched.
    """
    news: SimpleQueue[News] = SimpleQueue()
    for name, address in addresses.items():
        # A daemon thread: it waits for the server, and ends with this process.
        threading.Thread(target=follow, args=(name, address, news), daemon=True).start()
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


def follow_port(credential: Credential, name: str, address: str, news: SimpleQueue[News]) -> None:
    """Pass on the events of one admin port, over its restarts, for ever."""
    while True:
        problem = "the service ended the watch"
        try:
            with AdminClient(address, credential) as client:
                for event in client.crossings(begun=lambda: news.put(Watched(name))):
                    news.put(event)
        except grpc.RpcError as error:
            problem = error_sentence(error, address)
        news.put(Lost(name, problem))
        time.sleep(RETRY_SECONDS)

"""Channels to peers: over TLS with PEM files that are followed, or in plaintext; by no proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc

from queen.serving.lasting.followed import Followed
from queen.serving.metrics import Metrics
from queen.serving.ports.credentials import channel_credentials
from queen.serving.ports.pem import PemFiles, Pems, read_pems
from queen.serving.ports.place import UNIX

RETIRED_SECONDS = 30.0
"""Calls in flight on a channel that was opened anew get this long to end."""
Options = Sequence[tuple[str, Any]]


class Dialer:
    """Opens the channels to a service, with the PEM files as they are by then.

    Certificates of the service must have `name`, or the host of the target if there is none. A Unix
    socket is called in plaintext: its file says who may.
    """

    def __init__(
        self, files: PemFiles | None = None, name: str = "", metrics: Metrics | None = None
    ) -> None:
        self._name = name
        self._followed = (
            Followed(files.paths, lambda: read_pems(files), "tls", metrics)
            if files is not None
            else None
        )

    def pems(self) -> Pems | None:
        """The PEM files that a new channel would have; None for plaintext."""
        return self._followed.fresh() if self._followed is not None else None

    def open(self, target: str, options: Options, pems: Pems | None) -> grpc.aio.Channel:
        """A new channel."""
        # The environment's proxies are not used: a peer behind one would be another's.
        options = [*options, ("grpc.enable_http_proxy", 0)]
        if pems is None or target.startswith(UNIX):
            return grpc.aio.insecure_channel(target, options=options)
        if self._name:
            options.append(("grpc.ssl_target_name_override", self._name))
        return grpc.aio.secure_channel(target, channel_credentials(pems), options=options)


PLAINTEXT = Dialer()


class FollowingChannel:
    """A channel that is opened anew when its PEM files have changed; no call is lost by it.

    Stubs are made with it as with any channel. It knows calls with one request and one answer.
    """

    def __init__(self, dialer: Dialer, target: str, options: Options) -> None:
        self._dialer = dialer
        self._target = target
        self._options = options
        self._pems = dialer.pems()
        self._leaving: set[asyncio.Task[None]] = set()
        self.current = dialer.open(target, options, self._pems)

    def unary_unary(self, *method: Any, **details: Any) -> Callable[..., Any]:
        """A method, called on the channel that is current when the call begins."""
        channel, call = self.current, self.current.unary_unary(*method, **details)

        def ask(request: Any, **options: Any) -> Any:
            nonlocal channel, call
            if channel is not self.current:
                channel, call = self.current, self.current.unary_unary(*method, **details)
            return call(request, **options)

        return ask

    async def renew(self, serves: Callable[[grpc.aio.Channel], Awaitable[bool]]) -> bool:
        """Whether the files have changed and a channel with them is current by now.

        `serves` tries the new channel first; if the peer does not serve there, the old one stays,
        and the next call tries again.
        """
        pems = self._dialer.pems()
        if pems == self._pems:
            return False
        fresh = self._dialer.open(self._target, self._options, pems)
        if not await serves(fresh):
            await fresh.close(None)
            return False
        old, self.current, self._pems = self.current, fresh, pems
        leaving = asyncio.create_task(old.close(RETIRED_SECONDS))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        return True

    async def close(self, grace_seconds: float | None = None) -> None:
        """End the channels, and the calls on them, after a grace if there is one."""
        for leaving in list(self._leaving):
            leaving.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self.current.close(grace_seconds)

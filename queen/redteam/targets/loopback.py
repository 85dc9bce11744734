"""A gRPC service called without a network: the client's stub meets the servicer at once.

Both are the real ones, and so is every message between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Method = Callable[..., Any]


class LoopbackServer:
    """Takes what servicers register with a server; `methods` by full name."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Nothing: the registered handlers are the same ones, by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Remember the unary methods of one servicer."""
        for name, handler in handlers.items():
            self.methods[f"/{service}/{name}"] = handler.unary_unary


class LoopbackPeer:
    """What a client of the front door takes for a peer: always up, never late.

    An error of the servicer comes out as it is, so that a mistake in the set-up is seen
    and not answered by a failure mode.
    """

    def __init__(self, server: LoopbackServer, max_message_bytes: int) -> None:
        self.channel = self
        self.max_message_bytes = max_message_bytes
        self._server = server

    def unary_unary(self, method: str, *_codecs: Any, **_options: Any) -> Method:
        """The servicer's method behind a stub's."""
        return self._server.methods[method]

    async def call(self, method: Method, request: Any, _timeout_seconds: float) -> Any:
        """The response."""
        return await method(request, None)

"""A service in this process, called without a network.

A client's stub calls the servicer directly. Stub, servicer and messages are the real ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from queen.serving.health import Health
from queen.serving.metrics import Metrics
from queen.serving.settings import ServiceSettings
from queen.serving.shell import Shell, Wire

Call = Callable[..., Awaitable[Any]]
S = TypeVar("S", bound=ServiceSettings)
_MESSAGE_BYTES = 16 * 2**20


class InMemoryService:
    """A server to the servicers that register with it, a channel to the stubs that call them.

    The service never refuses a call and no call times out. An error of a servicer reaches the
    caller as it is, so that a mistake in the set-up is seen and not answered by a failure mode.
    """

    def __init__(self, max_message_bytes: int = _MESSAGE_BYTES) -> None:
        self.channel = self
        self.max_message_bytes = max_message_bytes
        self._methods: dict[str, Call] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[object]) -> None:
        """Ignore the handlers: they are registered by name as well."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Remember the unary methods of one servicer by their full names."""
        for name, handler in handlers.items():
            self._methods[f"/{service}/{name}"] = handler.unary_unary

    def unary_unary(self, method: str, *_codecs: object, **_options: object) -> Call:
        """The servicer's method of that full name, which a stub calls."""

        async def call(request: Any) -> Any:
            return await self._methods[method](request, None)

        return call

    async def call(self, method: Call, request: Any, _timeout_seconds: float) -> Any:
        """The response of a stub's method."""
        return await method(request)


async def open_in_memory(stack: AsyncExitStack, wire: Wire[S], settings: S) -> InMemoryService:
    """A service made by its own wiring, open until the `stack` closes."""
    service = InMemoryService()
    for offer in await stack.enter_async_context(wire(settings, Shell(Metrics(), Health()))):
        offer.add(service)
    return service

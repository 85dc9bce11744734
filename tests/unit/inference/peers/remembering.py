"""A peer that keeps the requests it gets."""

from __future__ import annotations

from typing import Any

from queen_inference.peers.peer import Peer

NOWHERE = "127.0.0.1:1"


class RememberingPeer(Peer):
    """A peer without a server, that keeps the requests and answers them itself."""

    def __init__(self, service: str, max_message_bytes: int = 1 << 20) -> None:
        super().__init__(NOWHERE, service, max_message_bytes)
        self.requests: list[Any] = []

    async def call(self, _method: Any, request: Any, _timeout_seconds: float) -> Any:
        """Remember the request, and answer it."""
        self.requests.append(request)
        return self.answer(request)

    def answer(self, request: Any) -> Any:
        """The response to a request."""
        raise NotImplementedError

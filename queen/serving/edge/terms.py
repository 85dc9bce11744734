"""The terms on which the methods of a service are called: who may call, and how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Caller(Protocol):
    """The owner of a credential."""

    @property
    def hash(self) -> str:
        """The caller's name in logs; callers of one name share the room of one."""


Admit = Callable[[str, Any], Caller | None]
"""The caller of a call, from its method's name and its gRPC context, of which the metadata and the
identity of the peer are known. None for a call that needs no credential; Unauthenticated for one
whose credential is missing or wrong. Nothing of the message has been read."""


@dataclass(frozen=True)
class Terms:
    """The terms on which the methods of a service are called.

    Without `admit`, whoever reaches the port is trusted.
    """

    admit: Admit | None = None
    message_bytes: int | None = None
    """Bytes of the largest message; None for what the settings allow."""
    fields: int = 65_536
    """Most fields of a message, with those of the messages in it."""
    is_trusting: bool = False
    """Whether whoever is admitted may use all room, and not a share of it."""
    is_quick: Callable[[Any], bool] | None = None
    """Whether `admit` is quick with the context of a call; None where it always is.

    A call that has come is admitted at once, unless that takes long: then its turn is that of a
    stranger, and it is admitted when it begins.
    """


TRUSTING = Terms()
"""Terms of a port on which every caller is trusted."""


class Gate:
    """Whether new calls are accepted; once it is closed they get UNAVAILABLE.

    Stopping a server at once would cancel the calls that it has received but not begun,
    and clients do not retry CANCELLED.
    """

    def __init__(self) -> None:
        self.is_open = True


def admit_strangers(_method: str, _context: Any) -> None:
    """Admit every caller, as one without a credential."""

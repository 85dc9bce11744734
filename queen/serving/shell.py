"""The shell of a process: the parts that a service's wiring gets, and the offers that it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from queen.serving.edge.terms import TRUSTING, Terms
from queen.serving.health import Health
from queen.serving.lasting.tasks import Lasting
from queen.serving.metrics import Metrics
from queen.serving.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
PortName = Literal["main", "admin", "health"]


@dataclass(frozen=True)
class Offer:
    """A gRPC service to serve: its full name, and the function that adds its servicer.

    `on` names the port; only a service whose settings have `admin_port` offers on "admin".
    `terms` say who may call, and how large a message may be.
    """

    name: str
    add: Callable[[Any], None]
    on: PortName = "main"
    terms: Terms = TRUSTING


@dataclass(frozen=True)
class Shell:
    """The parts of the process that a service's wiring may use.

    Metrics, health, and the supervision of work that lasts as long as the process.
    """

    metrics: Metrics
    health: Health
    lasting: Lasting = field(default_factory=Lasting)


Wire = Callable[[S, Shell], AbstractAsyncContextManager[Sequence[Offer]]]
"""A service's wiring: builds all objects, yields its offers, closes the objects after the drain."""

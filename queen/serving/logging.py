"""Logs: one JSON object a line, to stderr, with no key, account id or tensor value in it."""

from __future__ import annotations

import hashlib
import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from queen import __version__


def configure_logging(service: str, level: str) -> None:
    """Send structlog's lines and the standard library's records to stderr as JSON."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _stamp(service),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=shared,
        # A call below the level costs only an empty function.
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _adopt_standard_records(shared, threshold)


def logger(name: str) -> Any:
    """A logger whose lines carry `logger: name`. Make it after `configure_logging`."""
    return structlog.get_logger().bind(logger=name)


def account_hash(account_id: str) -> str:
    """The name of an account in logs: the same in every process, and no secret."""
    return hashlib.sha256(b"queen account " + account_id.encode()).hexdigest()[:16]


def _stamp(service: str) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"], event["version"] = service, __version__
        return event

    return stamp


def _adopt_standard_records(shared: list[Processor], level: int) -> None:
    """Format the records of libraries, grpc and asyncio for instance, in the same way."""

    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["logger"] = event["_record"].name
        return event

    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[name, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shared]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))

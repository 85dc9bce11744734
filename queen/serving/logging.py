"""Logs: one JSON object a line, to stderr or a file, with no key, account id or tensor value in it.

No call waits for a line or fails by one, and no caller can write without bound: lines wait in a
bounded queue, repeated lines and tracebacks are sampled, and long texts are cut.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import sys
import threading
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from queen import __version__
from queen.serving.logs.rotating_file import RotatingFile
from queen.serving.logs.sampling import ALL_LINES, LINES, TRACEBACKS, Sampler
from queen.serving.logs.sink import LogSink, Output, Stream

DROP_REASONS = ("sampled", "full", "failed")
"""Why a line was not written: one of many alike, no room for it, or refused by its file."""
MOST_TEXT = 2048
MOST_TRACEBACK = 8192
"""Characters of a text in a line, and of a traceback; the middle of a longer one is cut out."""
RECORDS = ("decisions", "audit")
"""Loggers whose lines are an operator's records: they are not sampled, and not cut."""
_STDERR = 2
_CLOSE_SECONDS = 2.0


class _Samples:
    """The samples of this process's lines."""

    def __init__(self) -> None:
        self.lines = Sampler(LINES)
        self.all_lines = Sampler(ALL_LINES)
        self.tracebacks = Sampler(TRACEBACKS)

    def admit(self, kind: Hashable) -> int | None:
        """None if a line must not be written, else the lines of its kind left out before it."""
        left_out = self.lines.admit(kind)
        return None if left_out is None or self.all_lines.admit("") is None else left_out


class _Written:
    """Counts of the lines that were not written; those of the last configuration."""

    samples: _Samples | None = None
    sink: LogSink | None = None


def configure_logging(service: str, level: str, file: RotatingFile | None = None) -> None:
    """Send structlog's lines and the standard library's records to a file, or to stderr, as JSON.

    So are errors that Python itself would print: of threads, of finalizers, and warnings.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    output: Output = Stream(_STDERR) if file is None else file
    sink, samples = LogSink(output), _Samples()
    _Written.sink, _Written.samples = sink, samples
    atexit.register(drain_logging)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _stamp(service),
        structlog.processors.format_exc_info,
        _cut,
        structlog.processors.EventRenamer("msg"),
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[_sample(samples), *shared],
        # A call below the level costs only an empty function.
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sink),  # type: ignore[arg-type] # writes
        cache_logger_on_first_use=True,
    )
    _adopt_standard_records(shared, threshold, sink, samples)
    _adopt_printed_errors()


def log_file_over(path: Path, max_bytes: int, kept: int) -> RotatingFile:
    """A rotated file for the lines, which takes the place of stdout and stderr as well.

    What the interpreter and its libraries print goes there too.
    """

    def follow(descriptor: int) -> None:
        sys.stderr.flush()
        for printed in (1, _STDERR):
            os.dup2(descriptor, printed)

    return RotatingFile(path, max_bytes, kept, follow)


def drain_logging() -> None:
    """Write the lines that wait, for at most two seconds."""
    if _Written.sink is not None:
        _Written.sink.close(_CLOSE_SECONDS)


def dropped_lines() -> Mapping[str, int]:
    """Lines that were not written so far, by `DROP_REASONS`."""
    samples, sink = _Written.samples, _Written.sink
    if samples is None or sink is None:
        return dict.fromkeys(DROP_REASONS, 0)
    return {"sampled": samples.lines.left_out + samples.all_lines.left_out, **sink.dropped}


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


def _sample(samples: _Samples) -> Processor:
    """Drop lines, or tracebacks, that came often; what was left out is told by the next one."""

    def sample(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        # Debug lines are an operator's wish.
        if method == "debug" or event.get("logger") in RECORDS:
            return event
        kind = (event.get("logger"), event.get("event"))
        left_out = samples.admit(kind)
        if left_out is None:
            raise structlog.DropEvent
        if left_out:
            event["left_out"] = left_out
        failure = _type_of(event.get("exc_info"))
        if failure:
            repeats = samples.tracebacks.admit((*kind, failure))
            if repeats is None:
                event.pop("exc_info")
                event["error"] = failure
            elif repeats:
                event["tracebacks_left_out"] = repeats
        return event

    return sample


def _type_of(exc_info: Any) -> str:
    """Name of the error's type in a line; empty without an error."""
    if not exc_info:
        return ""
    if isinstance(exc_info, BaseException):
        return type(exc_info).__name__
    kind = exc_info[0] if isinstance(exc_info, tuple) else sys.exc_info()[0]
    return "" if kind is None else str(kind.__name__)


def _cut(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if event.get("logger") in RECORDS:
        return event
    for name, value in event.items():
        if isinstance(value, str):
            most = MOST_TRACEBACK if name == "exception" else MOST_TEXT
            if len(value) > most:
                event[name] = f"{value[: most // 4]} ... {value[-(most - most // 4) :]}"
    return event


def _adopt_standard_records(
    shared: list[Processor], level: int, sink: LogSink, samples: _Samples
) -> None:
    """Format the records of libraries, grpc and asyncio for instance, in the same way."""

    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        record = event["_record"]
        event["logger"] = record.name
        for field in ("left_out", "tracebacks_left_out", "error"):
            if hasattr(record, field):
                event[field] = getattr(record, field)
        return event

    def is_admitted(record: logging.LogRecord) -> bool:
        kind = (record.name, record.pathname, record.lineno)
        left_out = samples.admit(kind)
        if left_out is None:
            return False
        if left_out:
            record.left_out = left_out
        failure = _type_of(record.exc_info)
        if failure:
            repeats = samples.tracebacks.admit((*kind, failure))
            if repeats is None:
                record.exc_info, record.exc_text, record.error = None, None, failure
            elif repeats:
                record.tracebacks_left_out = repeats
        return True

    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[name, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shared]
    )
    handler = logging.StreamHandler(sink)
    handler.setFormatter(formatter)
    handler.addFilter(is_admitted)
    handler.addFilter(_quotes_no_header)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))
    # A record that cannot be formatted would be printed, as often as it comes.
    logging.raiseExceptions = False


def _quotes_no_header(record: logging.LogRecord) -> bool:
    """Whether a record is another than gRPC's of a header that is no text: it may be a key."""
    return not (record.name.startswith("grpc.") and str(record.msg).startswith("Invalid encoding"))


def _adopt_printed_errors() -> None:
    """Log what Python would print: errors that end a thread or a finalizer, and warnings."""
    log = logger("python")

    def ended(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is not None and failure.exc_type is not SystemExit:
            log.error("a thread ended with an error", exc_info=failure.exc_value)

    def ignored(failure: Any) -> None:
        log.error("an error was ignored", exc_info=failure.exc_value)

    threading.excepthook = ended
    sys.unraisablehook = ignored
    logging.captureWarnings(True)

"""Errors as one sentence for the person at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from queen.errors import QueenError
from queen.printable import printable


class Refusal(click.ClickException):
    """Ends the command with a sentence on stderr; not a QueenError, since only click sees it."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print `queen: sentence`."""
        click.echo(f"{click.style('queen:', fg='red')} {self.message}", file=file, err=True)


@contextmanager
def refusing(exit_code: int) -> Iterator[None]:
    """Turn an expected error in the block into a Refusal with `exit_code`."""
    try:
        yield
    except (QueenError, OSError) as error:
        raise Refusal(sentence(error) or str(error), exit_code=exit_code) from error


def sentence(error: BaseException) -> str | None:
    """The sentence that tells the user of `error`; None for an error that is a bug."""
    if isinstance(error, QueenError):
        return str(error)
    if isinstance(error, OSError):
        return _system_sentence(error)
    # Only a command that loaded gRPC can meet its errors.
    grpc = sys.modules.get("grpc")
    if grpc is not None and isinstance(error, grpc.RpcError):
        return rpc_sentence(error)
    return None


def _system_sentence(error: OSError) -> str:
    words = (error.strerror or str(error)).lower()
    return f"{error.filename}: {words}" if error.filename else words


def rpc_sentence(error: Any) -> str:
    """The server's own words, its code and its reason."""
    labels = [error.code().name, *_reasons(error)]
    return printable(f"{error.details()} ({', '.join(labels)})")


def _reasons(error: Any) -> list[str]:
    # Here, so that a command without RPCs starts without gRPC.
    from google.rpc import error_details_pb2  # noqa: PLC0415
    from grpc_status import rpc_status  # noqa: PLC0415

    status = rpc_status.from_call(error)
    reasons = []
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            reasons.append(info.reason)
    return reasons

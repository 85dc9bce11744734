"""The table from errors to gRPC codes, and the status that a caller gets for an error."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from queen import errors

DOMAIN = "queen"
DETAILS_KEY = "grpc-status-details-bin"
MAX_MESSAGE = 512
"""Characters of an error that are sent: statuses travel in headers, which are limited."""

CODES: dict[type[errors.QueenError], grpc.StatusCode] = {
    errors.InvalidQuery: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BatchTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.AccountNotFound: grpc.StatusCode.NOT_FOUND,
    errors.BundleMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    errors.SecretMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.OverBudget: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.LedgerConflict: grpc.StatusCode.UNAVAILABLE,
    # Clients repeat UNAVAILABLE by themselves, and this code only with RetryInfo, which it lacks.
    errors.LedgerFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    # Clients do not retry this code by themselves: the call fails until the store is restored.
    errors.LedgerCorrupt: grpc.StatusCode.DATA_LOSS,
    errors.DependencyUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
}
"""Code of each error that a caller may see; its nearest base counts. Any other is INTERNAL."""

_RETRY_SECONDS = 0.1
_INTERNAL = "internal error; report the request id"
# The caller's own account, without its name; that of a group or of another account is never told.
_SUBJECT = "account"
_REMEDY = "new queries of this account; ask the operator for a larger budget or for a reset"


@dataclass(frozen=True)
class Refusal:
    """The status of an error, as the caller gets it."""

    code: grpc.StatusCode
    message: str
    request_id: str
    details: bytes
    """A serialized google.rpc.Status."""


def code_of(error: BaseException) -> grpc.StatusCode:
    """Code of an error; INTERNAL for anything that is not in the table."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return grpc.StatusCode.INTERNAL


def refuse(error: BaseException) -> Refusal:
    """The status of an error: code, message, and the details of google.rpc that fit it.

    Every error has ErrorInfo and RequestInfo; some have BadRequest, RetryInfo or QuotaFailure.

    An error that is not in the table is a bug: its text stays here, and the caller gets
    a fixed text with the request id under which the error is logged.
    """
    code, request_id = code_of(error), request_id_of(error)
    is_known = code is not grpc.StatusCode.INTERNAL
    reason = error.reason if is_known and isinstance(error, errors.QueenError) else "INTERNAL"
    message = _clip(str(error)) if is_known else _INTERNAL
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason=reason, domain=DOMAIN, metadata={"request_id": request_id}
        )
    )
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    if is_known:
        _add_particulars(status, error, code, message)
    return Refusal(code, f"{message}{_mention(code, request_id)}", request_id, _bytes(status))


def reason_in(trailers: Any) -> str:
    """The reason of a Queen error among a call's trailing metadata; empty if there is none.

    Metadata are pairs of key and value. A value that is no Status, from a proxy for instance, gives
    no reason.
    """
    blobs = [value for key, value in trailers if key == DETAILS_KEY]
    try:
        details = [
            detail for blob in blobs for detail in status_pb2.Status.FromString(blob).details
        ]
    except DecodeError:
        return ""
    for detail in details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return str(info.reason)
    return ""


def request_id_of(error: BaseException) -> str:
    """A random id, the same for every request that a failure ends."""
    known = getattr(error, "queen_request_id", None)
    if isinstance(known, str):
        return known
    fresh = uuid.uuid4().hex
    error.queen_request_id = fresh  # type: ignore[attr-defined]
    return fresh


def _add_particulars(
    status: status_pb2.Status, error: BaseException, code: grpc.StatusCode, message: str
) -> None:
    field = getattr(error, "field", "")
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if code is grpc.StatusCode.UNAVAILABLE or isinstance(error, errors.Overloaded):
        delay = Duration()
        delay.FromNanoseconds(int(1e9 * getattr(error, "retry_after_seconds", _RETRY_SECONDS)))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if isinstance(error, errors.OverBudget):
        spent = error_details_pb2.QuotaFailure.Violation(subject=_SUBJECT, description=_REMEDY)
        status.details.add().Pack(error_details_pb2.QuotaFailure(violations=[spent]))


def _mention(code: grpc.StatusCode, request_id: str) -> str:
    return f" {request_id}" if code is grpc.StatusCode.INTERNAL else ""


def _clip(text: str) -> str:
    """A text as printable ASCII of bounded length: it travels in headers and may quote a caller."""
    # Cut first: escaping makes a text ten times as long, at the cost of its whole length.
    plain = text[: MAX_MESSAGE + 1].encode("ascii", "backslashreplace").decode()
    clean = "".join(letter if letter.isprintable() else "?" for letter in plain)
    return clean if len(clean) <= MAX_MESSAGE else clean[: MAX_MESSAGE - 3] + "..."


def _bytes(status: status_pb2.Status) -> bytes:
    data: bytes = status.SerializeToString()
    return data

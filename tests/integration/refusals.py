"""The details in the status of a refused call."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class Refusal:
    """The status that a call must end with; `message` is a part of its details."""

    code: grpc.StatusCode
    message: str
    reason: str

    def require(self, error: grpc.RpcError) -> None:
        """AssertionError if a call ended otherwise."""
        assert error.code() is self.code
        assert self.message in error.details()
        assert reason_of(error) == self.reason


def violated_field(error: grpc.RpcError) -> str:
    """The request field that a refusal blames."""
    return _violation(error).field_violations[0].field


def reason_of(error: grpc.RpcError) -> str:
    """The stable reason of a refusal."""
    info = error_details_pb2.ErrorInfo()
    for detail in _status(error).details:
        if detail.Unpack(info):
            return info.reason
    raise AssertionError("no ErrorInfo")


def _violation(error: grpc.RpcError) -> error_details_pb2.BadRequest:
    violation = error_details_pb2.BadRequest()
    for detail in _status(error).details:
        if detail.Unpack(violation):
            return violation
    raise AssertionError("no BadRequest")


def _status(error: grpc.RpcError) -> status_pb2.Status:
    trailing = dict(error.trailing_metadata())
    return status_pb2.Status.FromString(trailing["grpc-status-details-bin"])

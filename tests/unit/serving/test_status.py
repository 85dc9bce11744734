"""The table of codes, and what a caller may read of an error."""

from __future__ import annotations

import inspect

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from queen import errors
from queen.serving.status import DETAILS_KEY, MAX_MESSAGE, code_of, reason_in, refuse


def details(error: BaseException) -> dict[str, object]:
    """Details of the refusal, by message name."""
    status = status_pb2.Status.FromString(refuse(error).details)
    sent: dict[str, object] = {}
    for packed in status.details:
        name = packed.TypeName().split(".")[-1]
        message = getattr(error_details_pb2, name)()
        packed.Unpack(message)
        sent[name] = message
    return sent


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ShapeMismatch("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.BatchTooLarge("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.ModelNotFound("x"), grpc.StatusCode.NOT_FOUND),
        (errors.AccountNotFound("x"), grpc.StatusCode.NOT_FOUND),
        (errors.Overloaded("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.OverBudget("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.DeadlineExceeded("x"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (errors.LedgerConflict("x"), grpc.StatusCode.UNAVAILABLE),
        (errors.LedgerCorrupt("x"), grpc.StatusCode.DATA_LOSS),
        (errors.LedgerError("x"), grpc.StatusCode.INTERNAL),
        (errors.DependencyUnavailable("x"), grpc.StatusCode.UNAVAILABLE),
        (errors.BundleMismatch("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (errors.Unauthenticated("x"), grpc.StatusCode.UNAUTHENTICATED),
        (errors.PermissionDenied("x"), grpc.StatusCode.PERMISSION_DENIED),
        (errors.ContractViolated("x"), grpc.StatusCode.INTERNAL),
        (ZeroDivisionError("x"), grpc.StatusCode.INTERNAL),
    ],
)
def test_each_error_has_its_code(error: Exception, code: grpc.StatusCode) -> None:
    """The table gives every class the code that its docstring promises."""
    assert code_of(error) is code


def test_every_error_class_promises_the_code_it_gets() -> None:
    """A code that an error's docstring names is the one that the table gives."""
    checked = 0
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        for code in grpc.StatusCode:
            if code.name in (kind.__doc__ or ""):
                assert code_of(kind("x")) is code, kind
                checked += 1
    assert checked >= 15


def test_damage_is_told_and_not_to_be_retried() -> None:
    """A damaged ledger says so to its caller, and gives no delay after which to come back."""
    sent = details(errors.LedgerCorrupt("restore the store from a backup"))
    assert sent["ErrorInfo"].reason == "LEDGER_CORRUPT"  # type: ignore[attr-defined]
    assert "RetryInfo" not in sent


def test_an_unknown_exception_is_opaque() -> None:
    """A bug's text stays inside; the caller gets a request id to quote."""
    refusal = refuse(RuntimeError("/secret/path"))
    assert refusal.code is grpc.StatusCode.INTERNAL
    assert "/secret/path" not in refusal.message
    assert b"/secret/path" not in refusal.details
    assert refusal.request_id in refusal.message


def test_one_fault_has_one_request_id() -> None:
    """All the callers that a failed batch takes down quote the same id."""
    error = RuntimeError("x")
    assert refuse(error).request_id == refuse(error).request_id


def test_an_invalid_query_names_its_field() -> None:
    """BadRequest carries the field and the sentence."""
    sent = details(errors.ShapeMismatch("expected 1, got 2", field="inputs[0].shape"))
    (violation,) = sent["BadRequest"].field_violations  # type: ignore[attr-defined]
    assert (violation.field, violation.description) == ("inputs[0].shape", "expected 1, got 2")
    assert sent["ErrorInfo"].reason == "SHAPE_MISMATCH"  # type: ignore[attr-defined]
    assert sent["ErrorInfo"].domain == "queen"  # type: ignore[attr-defined]


def test_an_overload_says_when_to_come_back() -> None:
    """RetryInfo carries the delay."""
    sent = details(errors.Overloaded("full", retry_after_seconds=2.5))
    assert sent["RetryInfo"].retry_delay.ToMilliseconds() == 2500  # type: ignore[attr-defined]


def test_a_spent_budget_says_whom_to_ask_and_gives_no_delay() -> None:
    """QuotaFailure names the caller's account alone; time does not help, so no RetryInfo."""
    sent = details(errors.OverBudget("over its budget"))
    (violation,) = sent["QuotaFailure"].violations  # type: ignore[attr-defined]
    assert violation.subject == "account"
    assert "ask the operator" in violation.description
    assert sent["ErrorInfo"].reason == "OVER_BUDGET"  # type: ignore[attr-defined]
    assert "RetryInfo" not in sent


def test_a_message_is_bounded_and_printable() -> None:
    """A message that quotes a caller fits into headers and holds no control character."""
    refusal = refuse(errors.InvalidQuery("got '" + "\n\u2603" * 10_000))
    assert len(refusal.message) <= MAX_MESSAGE
    assert refusal.message.isascii()
    assert refusal.message.isprintable()


def test_a_text_is_cut_before_it_is_escaped() -> None:
    """A name of millions of letters costs no more than one of a thousand."""

    class Long(str):
        """A text that must not be encoded as a whole."""

        __slots__ = ()

        def encode(self, *_arguments: object) -> bytes:
            raise AssertionError("the whole text is encoded")

    class Quoting(errors.InvalidQuery):
        def __str__(self) -> str:
            return Long("\U0001f451" * 4_200_000)

    refusal = refuse(Quoting(""))
    assert len(refusal.message) <= MAX_MESSAGE


def test_the_reason_is_read_from_trailers_whatever_else_is_there() -> None:
    """That of a Queen error; none of another server's trailers, nor of what is no status."""
    refusal = refuse(errors.Overloaded("full"))
    assert reason_in([("other", "x"), (DETAILS_KEY, refusal.details)]) == "OVERLOADED"
    assert reason_in([("other", "x")]) == ""
    assert reason_in([(DETAILS_KEY, b"\xff\xff no status")]) == ""

"""Errors as one sentence for the person at the terminal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.cli.refusal import Refusal, refusing, rpc_sentence, sentence
from queen.errors import ConfigError, Overloaded
from queen.serving.status import DETAILS_KEY, refuse


def test_an_expected_error_is_its_own_sentence(tmp_path: Path) -> None:
    """Ours says what was expected; the system's names the file."""
    assert sentence(ConfigError("expected a port, got none")) == "expected a port, got none"
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "gone").read_text()
    assert sentence(caught.value) == f"{tmp_path / 'gone'}: no such file or directory"
    assert sentence(BrokenPipeError(32, "Broken pipe")) == "broken pipe"


def test_a_bug_has_no_sentence() -> None:
    """It is shown with its traceback, which a report needs."""
    assert sentence(ZeroDivisionError("division by zero")) is None
    with pytest.raises(ZeroDivisionError), refusing(2):
        _ = 1 / 0


def test_a_block_that_refuses_ends_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with that code and a line on stderr."""
    with pytest.raises(Refusal) as refusal, refusing(2):
        raise ConfigError("expected a port, got none")
    assert refusal.value.exit_code == 2
    refusal.value.show()
    assert capsys.readouterr() == ("", "queen: expected a port, got none\n")


class Failing(perturber_pb2_grpc.PerturberServiceServicer):
    """Fails with a status of ours, and without one."""

    def Reverse(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Fail."""
        refusal = refuse(Overloaded("expected at most 1 call, got 2"))
        trailers = ((DETAILS_KEY, refusal.details),) if request.bundle_digest else ()
        context.set_trailing_metadata(trailers)
        context.abort(refusal.code, refusal.message)


def test_an_rpc_that_failed_is_the_servers_words_with_code_and_reason() -> None:
    """A server of another maker gives no reason; its words and its code are enough."""
    server = grpc.server(ThreadPoolExecutor(1))
    perturber_pb2_grpc.add_PerturberServiceServicer_to_server(Failing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = perturber_pb2_grpc.PerturberServiceStub(channel)
        words = []
        for digest in ("ours", ""):
            with pytest.raises(grpc.RpcError) as caught:
                stub.Reverse(perturber_pb2.ReverseRequest(bundle_digest=digest), timeout=10)
            words.append(rpc_sentence(caught.value))
            assert sentence(caught.value) == words[-1]
    server.stop(None).wait()
    assert words == [
        "expected at most 1 call, got 2 (RESOURCE_EXHAUSTED, OVERLOADED)",
        "expected at most 1 call, got 2 (RESOURCE_EXHAUSTED)",
    ]

"""`queen query`, against servers that do not answer as one wishes."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from click.testing import CliRunner

from queen.api.oip import open_inference_pb2_grpc
from queen.cli import main
from queen.cli.query.target import KEY_VARIABLE


@pytest.fixture
def samples(tmp_path):
    """A file with a row."""
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    return str(tmp_path / "x.npy")


class Refusing(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that refuses every question about its model."""

    def __init__(self, code):
        self.code = code
        self.credentials = []

    def ModelMetadata(self, _request, context):  # noqa: N802 - gRPC's name
        """Refuse."""
        self.credentials += [
            value for key, value in context.invocation_metadata() if key == "authorization"
        ]
        context.abort(self.code, "the server's words")


@pytest.fixture
def serving(request):
    """A refusing server and its address."""
    servicer = Refusing(request.param)
    server = grpc.server(ThreadPoolExecutor(1))
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_nothing_listens_is_one_sentence(tmp_path):
    """An endpoint without an answer ends with 1 and a question, not a traceback."""
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    argv = ["query", "--endpoint", "127.0.0.1:1", "--data", str(tmp_path / "x.npy")]
    ran = CliRunner().invoke(main, argv)
    assert ran.exit_code == 1
    assert ran.stderr == "queen: nothing answers at 127.0.0.1:1; is `queen up` running there?\n"


@pytest.mark.parametrize("serving", [grpc.StatusCode.NOT_FOUND], indirect=True)
def test_a_server_that_needs_a_model_is_asked_for_with_one(samples, serving):
    """Servers of other makers do not understand an empty name."""
    _, address = serving
    ran = CliRunner().invoke(main, ["query", "--endpoint", address, "--data", samples])
    assert (ran.exit_code, ran.stderr) == (
        1,
        f"queen: {address} does not say which model it serves; give --model NAME\n",
    )


@pytest.mark.parametrize("serving", [grpc.StatusCode.UNAUTHENTICATED], indirect=True)
def test_a_missing_key_is_asked_for(samples, serving, tmp_path):
    """Without one the sentence says how to give it; a file goes before the environment."""
    servicer, address = serving
    argv = ["query", "--endpoint", address, "--model", "m", "--data", samples]
    ran = CliRunner().invoke(main, argv)
    assert ran.stderr == (
        f"queen: the server's words (UNAUTHENTICATED); give --key-file or {KEY_VARIABLE}\n"
    )
    ran = CliRunner().invoke(main, argv, env={KEY_VARIABLE: "mine"})
    assert ran.stderr == "queen: the server's words (UNAUTHENTICATED)\n"
    assert servicer.credentials == ["Bearer mine"]
    (tmp_path / "key").write_text("from-a-file\n")
    ran = CliRunner().invoke(
        main, [*argv, "--key-file", str(tmp_path / "key")], env={KEY_VARIABLE: "mine"}
    )
    assert servicer.credentials[1:] == ["Bearer from-a-file"]


def test_no_key_is_given_on_the_command_line(samples):
    """Other users of the machine could read it."""
    ran = CliRunner().invoke(main, ["query", "--data", samples, "--key", "mine"])
    assert ran.exit_code == 2
    assert "No such option" in ran.stderr

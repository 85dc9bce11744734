import numpy as np
import pytest
from click.testing import CliRunner

from queen.cli import main
from queen.cli.query import DEFAULT_ENDPOINT, Target, as_document, find_target
from queen.cli.samples import Samples
from queen.cli.state import StateFolder
from queen.oip_client import ModelDescription


@pytest.fixture
def local(tmp_path):
    """A state folder in which a deployment runs at 127.0.0.1:9."""
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    folder.local_key.write_text("local-key\n")
    folder.write_up({"inference": "127.0.0.1:9"})
    return folder


def test_the_local_deployment_needs_no_flags(local):
    """Endpoint and key come from the state folder."""
    assert find_target(local, None, None, None) == Target("127.0.0.1:9", "", "local-key")


def test_the_local_key_is_sent_nowhere_else(local):
    """Another endpoint never gets the key of the local account."""
    assert find_target(local, "elsewhere:8001", "m", None).key is None


def test_a_stated_key_wins(local):
    """--key and the environment go before the file."""
    assert find_target(local, None, None, "mine").key == "mine"


def test_without_a_deployment_the_default_is_asked(tmp_path):
    """No up.json: the default endpoint, without a key."""
    assert find_target(StateFolder(tmp_path), None, "m", None) == Target(
        DEFAULT_ENDPOINT, "m", None
    )


def test_nothing_listens_is_one_sentence(tmp_path):
    """An endpoint where nobody answers ends with 1 and a question, not a traceback."""
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    argv = ["query", "--endpoint", "127.0.0.1:1", "--data", str(tmp_path / "x.npy")]
    ran = CliRunner().invoke(main, argv)
    assert ran.exit_code == 1
    assert ran.stderr == "queen: nothing answers at 127.0.0.1:1; is `queen up` running there?\n"


def test_json_names_a_class_only_if_the_server_did():
    """Labels always, class names where the metadata has one."""
    samples = Samples(np.array([7, 8]), np.zeros((2, 1)), None)
    model = ModelDescription("m", "x", "FP32", (-1, 1), ("cat",))
    rows = as_document(model, samples, np.array([[0.9, 0.1], [0.2, 0.8]]))["rows"]
    assert [(row["row"], row["label"]) for row in rows] == [(7, 0), (8, 1)]
    assert [row.get("class_name") for row in rows] == ["cat", None]

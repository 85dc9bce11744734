"""The server that is asked, and the key that it gets."""

import pytest

from queen.cli.query.target import DEFAULT_ENDPOINT, KEY_VARIABLE, Target, find_target, stated_key
from queen.cli.state import StateFolder


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
    """A key that the caller names goes before that of the state folder."""
    assert find_target(local, None, None, "mine").key == "mine"


def test_an_empty_key_is_no_key(local):
    """It is passed over like an empty variable."""
    assert find_target(local, None, None, "").key == "local-key"
    assert find_target(local, "elsewhere:8001", "m", "").key is None


def test_without_a_deployment_the_default_is_asked(tmp_path):
    """No up.json: the default endpoint, without a key."""
    assert find_target(StateFolder(tmp_path), None, "m", None) == Target(
        DEFAULT_ENDPOINT, "m", None
    )


def test_a_key_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    """The file first; an empty variable is no key."""
    (tmp_path / "key").write_text("of-a-file\n")
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert stated_key(None) is None
    monkeypatch.setenv(KEY_VARIABLE, "")
    assert stated_key(None) is None
    monkeypatch.setenv(KEY_VARIABLE, "of-the-environment")
    assert stated_key(None) == "of-the-environment"
    assert stated_key(tmp_path / "key") == "of-a-file"

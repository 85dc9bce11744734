"""The state folder of `queen up`."""

import pytest

from queen.cli.state import StateFolder
from queen.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    """A state folder of its own."""
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    return folder


def test_one_holder_at_a_time(folder):
    """A second `queen up` on the folder is refused, and admitted once the first is gone."""
    with folder.locked(), pytest.raises(ConfigError, match="another `queen up`"), folder.locked():
        pass
    with folder.locked():
        pass


def test_logs_rotate(folder):
    """Earlier logs move on by one place and the oldest is dropped."""
    for run in range(6):
        log = folder.rotate_log("inference")
        assert not log.exists()
        log.write_text(str(run))
    kept = [log.with_suffix(f".log.{age}").read_text() for age in (1, 2, 3)]
    assert kept == ["4", "3", "2"]
    assert not log.with_suffix(".log.4").exists()


def test_a_deployment_is_found_by_its_state(folder):
    """Addresses are read as they were written; without them the sentence says what to start."""
    with pytest.raises(ConfigError, match="no `queen up` runs with this state folder"):
        folder.read_up()
    folder.write_up({"inference": "127.0.0.1:1"})
    assert folder.read_up() == {"inference": "127.0.0.1:1"}
    folder.up.write_text("{")
    with pytest.raises(ConfigError, match="not JSON; restart `queen up`"):
        folder.read_up()


def test_the_holder_of_a_folder_is_named(folder):
    """The operator learns which process to stop."""
    folder.write_up({"pids": {"up": 4711}})
    with (
        folder.locked(),
        pytest.raises(ConfigError, match=r"another `queen up` \(process 4711\)"),
        folder.locked(),
    ):
        pass


def test_folders_are_for_their_owner_only(folder):
    """Ledgers are about people, and logs about what went wrong."""
    folders = (folder.path, folder.log("any").parent, folder.ready_file("any").parent)
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}

"""The state folder of `queen up`."""

from pathlib import Path

import pytest

from queen.cli.state import StateFolder
from queen.errors import ConfigError
from queen.serving.ports.place import LONGEST_SOCKET


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


def test_a_folder_of_an_earlier_run_is_made_private(folder):
    """And an empty one; a folder of something else is left alone and refused."""
    with folder.locked():
        pass
    for path in (folder.path, folder.sockets):
        path.chmod(0o755)
    folder.prepare()
    assert {path.stat().st_mode & 0o777 for path in (folder.path, folder.sockets)} == {0o700}
    empty = StateFolder(folder.path / "empty")
    empty.path.mkdir(mode=0o755)
    empty.prepare()
    assert empty.path.stat().st_mode & 0o777 == 0o700
    other = StateFolder(folder.path / "other")
    other.path.mkdir()
    other.path.chmod(0o755)
    (other.path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="a folder of something else that others may read"):
        other.prepare()
    assert other.path.stat().st_mode & 0o777 == 0o755


def test_a_socket_has_a_short_path(tmp_path):
    """The system takes no long one: it then lies elsewhere, at the same path each time."""
    short, deep = StateFolder(Path("/srv/queen")), StateFolder(tmp_path / ("a" * 90))
    assert short.socket("perturber") == Path("/srv/queen/sockets/perturber.sock")
    deep.prepare()
    path = deep.socket("sensitivity-63-admin")
    assert path == StateFolder(deep.path).socket("sensitivity-63-admin")
    assert path != StateFolder(tmp_path / ("b" * 90)).socket("sensitivity-63-admin")
    assert len(str(path)) <= LONGEST_SOCKET
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.parent.rmdir()

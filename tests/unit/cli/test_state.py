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

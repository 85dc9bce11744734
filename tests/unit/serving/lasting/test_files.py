"""Files that are followed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.lasting import files
from queen.serving.lasting.files import REREAD_SECONDS, FollowedFile
from queen.serving.metrics import Metrics


class Loaded:
    """The contents that came into force, with a clock that a test turns."""

    def __init__(self, path: Path) -> None:
        self.contents: list[bytes] = []
        self.seconds = 0.0
        self.metrics = Metrics()
        self.file = FollowedFile(path, "toys", self.load, self.metrics, lambda: self.seconds)

    def load(self, content: bytes) -> None:
        """Refuse what says so; a bug in what reads files is an odd exception."""
        if content == b"bad":
            raise ConfigError("expected good, got bad")
        if content == b"odd":
            raise IndexError("a bug")
        self.contents.append(content)

    def value(self, name: str, **labels: str) -> float:
        """A sample; 0 if it is not there."""
        return self.metrics.registry.get_sample_value(name, {"file": "toys", **labels}) or 0.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in a folder of its own."""
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "toys").write_bytes(b"one")
    return folder / "toys"


def test_a_change_comes_into_force_once(path: Path) -> None:
    """Edited in place or replaced by a rename; a look at the same file loads nothing."""
    loaded = Loaded(path)
    loaded.file.look()
    path.write_bytes(b"a second one")
    loaded.file.look()
    loaded.file.look(closely=True)
    draft = path.with_name("draft")
    draft.write_bytes(b"three")
    draft.replace(path)
    loaded.file.look()
    assert loaded.contents == [b"one", b"a second one", b"three"]
    assert loaded.value("config_load_total", result="success") == 3


@pytest.mark.parametrize("depth", [1, 2])
def test_a_change_behind_links_is_a_change(path: Path, tmp_path: Path, depth: int) -> None:
    """The link stays as it is, and no event comes from its folder."""
    link = tmp_path / "link"
    link.symlink_to(path)
    if depth == 2:
        (tmp_path / "outer").symlink_to(link)
        link = tmp_path / "outer"
    loaded = Loaded(link)
    path.write_bytes(b"two, behind a link")
    loaded.file.look()
    assert loaded.contents == [b"one", b"two, behind a link"]


def test_a_change_that_no_status_tells_is_seen_within_a_minute(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is read again: some file systems keep coarse times."""
    monkeypatch.setattr(files, "status_of", lambda _path: (0,))
    loaded = Loaded(path)
    path.write_bytes(b"two")
    loaded.seconds = REREAD_SECONDS - 1
    loaded.file.look()
    assert loaded.contents == [b"one"]
    loaded.seconds = REREAD_SECONDS
    loaded.file.look()
    assert loaded.contents == [b"one", b"two"]


@pytest.mark.parametrize("content", [b"bad", b"odd", None])
def test_a_refused_content_leaves_the_last_good_one(path: Path, content: bytes | None) -> None:
    """It is counted for as long as it stands, the age grows, and a good one ends both."""
    loaded = Loaded(path)
    digest = loaded.file.digest
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    for minute in range(3):
        loaded.seconds = minute * REREAD_SECONDS
        loaded.file.look()
    assert loaded.contents == [b"one"]
    assert loaded.file.digest == digest
    assert loaded.value("config_load_total", result="failure") == 3
    assert loaded.value("queen_config_age_seconds") == 2 * REREAD_SECONDS
    path.write_bytes(b"good again")
    loaded.file.look()
    assert loaded.contents[1:] == [b"good again"]
    assert loaded.value("queen_config_age_seconds") == 0
    assert loaded.value("queen_config_info", sha256=loaded.file.digest[:12]) == 1


def test_the_first_content_must_be_good(path: Path, tmp_path: Path) -> None:
    """A service does not start without one."""
    path.write_bytes(b"bad")
    for broken, words in ((path, "got bad"), (tmp_path / "missing", "cannot be read")):
        with pytest.raises(ConfigError, match=words):
            Loaded(broken)


def test_a_huge_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the memory."""
    loaded = Loaded(path)
    monkeypatch.setattr(files, "MOST_BYTES", 4)
    path.write_bytes(b"12345")
    loaded.file.look()
    assert loaded.contents == [b"one"]
    assert loaded.value("config_load_total", result="failure") == 1


async def test_a_follower_looks_again_and_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is cancelled."""
    monkeypatch.setattr(files, "LOOK_SECONDS", 0.001)
    loaded = Loaded(path)
    following = asyncio.create_task(loaded.file.follow())
    async with asyncio.timeout(10):
        for content in (b"second", b"the third"):
            path.write_bytes(content)
            while loaded.contents[-1] != content:
                await asyncio.sleep(0.001)
    following.cancel()
    assert len(loaded.contents) == 3

"""Files that are followed: configuration, and values that are read from several files."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from queen.errors import ConfigError
from queen.serving.lasting import followed
from queen.serving.lasting.followed import (
    REREAD_SECONDS,
    SETTLED_NANOSECONDS,
    Followed,
    follow_config,
)
from queen.serving.metrics import Metrics


class Loaded:
    """The contents that came into force, with a clock that a test turns."""

    def __init__(self, path: Path) -> None:
        self.contents: list[bytes] = []
        self.seconds = 0.0
        self.metrics = Metrics()
        self.file = follow_config(path, "toys", self.load, self.metrics, lambda: self.seconds)

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
    loaded.file.fresh()
    path.write_bytes(b"a second one")
    loaded.file.fresh()
    loaded.file.fresh(closely=True)
    draft = path.with_name("draft")
    draft.write_bytes(b"three")
    draft.replace(path)
    loaded.file.fresh()
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
    loaded.file.fresh()
    assert loaded.contents == [b"one", b"two, behind a link"]


def test_a_change_that_no_status_tells_is_seen_within_a_minute(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is read again: some file systems keep coarse times."""
    monkeypatch.setattr(followed, "status_of", lambda _path: (0, 0))
    loaded = Loaded(path)
    path.write_bytes(b"two")
    loaded.seconds = REREAD_SECONDS - 1
    loaded.file.fresh()
    assert loaded.contents == [b"one"]
    loaded.seconds = REREAD_SECONDS
    loaded.file.fresh()
    assert loaded.contents == [b"one", b"two"]


@pytest.mark.parametrize("content", [b"bad", b"odd", None])
def test_a_refused_content_leaves_the_last_good_one(path: Path, content: bytes | None) -> None:
    """It is counted for as long as it stands, the age grows, and a good one ends both."""
    loaded = Loaded(path)
    digest = loaded.file.value.sha256
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    for minute in range(3):
        loaded.seconds = minute * REREAD_SECONDS
        loaded.file.fresh()
    assert loaded.contents == [b"one"]
    assert loaded.file.value.sha256 == digest
    assert loaded.value("config_load_total", result="failure") == 3
    assert loaded.value("queen_config_age_seconds") == 2 * REREAD_SECONDS
    path.write_bytes(b"good again")
    loaded.file.fresh()
    assert loaded.contents[1:] == [b"good again"]
    assert loaded.value("queen_config_age_seconds") == 0
    assert loaded.value("queen_config_info", sha256=loaded.file.value.sha256[:12]) == 1


def test_the_age_is_as_of_now_where_no_follower_looks(path: Path) -> None:
    """A file that is looked at by calls alone does not seem stale while there are none."""
    loaded = Loaded(path)
    loaded.seconds = 10 * REREAD_SECONDS
    assert loaded.value("queen_config_age_seconds") == 0
    path.write_bytes(b"bad")
    loaded.seconds += 7
    assert loaded.value("queen_config_age_seconds") == 7


def test_the_first_content_must_be_good(path: Path, tmp_path: Path) -> None:
    """A service does not start without one."""
    path.write_bytes(b"bad")
    for broken, words in ((path, "got bad"), (tmp_path / "missing", "cannot be read")):
        with pytest.raises(ConfigError, match=words):
            Loaded(broken)


def test_a_huge_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the memory."""
    loaded = Loaded(path)
    monkeypatch.setattr(followed, "MOST_BYTES", 4)
    path.write_bytes(b"12345")
    loaded.file.fresh()
    assert loaded.contents == [b"one"]
    assert loaded.value("config_load_total", result="failure") == 1


async def test_a_follower_looks_again_and_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is cancelled."""
    monkeypatch.setattr(followed, "LOOK_SECONDS", 0.001)
    loaded = Loaded(path)
    following = asyncio.create_task(loaded.file.follow())
    async with asyncio.timeout(10):
        for content in (b"second", b"the third"):
            path.write_bytes(content)
            while loaded.contents[-1] != content:
                await asyncio.sleep(0.001)
    following.cancel()
    assert len(loaded.contents) == 3


def read_word(path: Path) -> str:
    """The content of a file; ConfigError for the word that stands for a bad file."""
    try:
        word = path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read") from error
    if word == "bad":
        raise ConfigError(f"{path}: expected a good word, got a bad one")
    return word


def test_a_changed_file_is_read_at_the_next_look(tmp_path: Path) -> None:
    """Also behind a link that is turned to another folder, as Kubernetes does."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "word").write_text(name)
    link = tmp_path / "..data"
    link.symlink_to(tmp_path / "one")
    (tmp_path / "word").symlink_to(link / "word")
    words = Followed([tmp_path / "word"], lambda: read_word(tmp_path / "word"), "words")
    assert words.fresh() == "one"
    turned = tmp_path / "turned"
    turned.symlink_to(tmp_path / "two")
    turned.replace(link)
    assert words.fresh() == "two"
    (tmp_path / "two" / "word").write_text("owt")
    assert words.fresh() == "owt"


def test_a_refused_change_leaves_the_last_good_value(tmp_path: Path) -> None:
    """It is counted once, however often the value is asked for; a mended file is in force again."""
    path, metrics = tmp_path / "word", Metrics()
    path.write_text("good")
    words = Followed([path], lambda: read_word(path), "words", metrics)
    path.write_text("bad")
    assert [words.fresh() for _ in range(3)] == ["good"] * 3
    text = generate_latest(metrics.registry).decode()
    assert 'config_load_total{file="words",result="failure"} 1.0' in text
    path.unlink()
    assert words.fresh() == "good"
    path.write_text("better")
    assert words.fresh() == "better"


def test_a_first_file_must_be_good(tmp_path: Path) -> None:
    """Nothing starts with a value that was never read."""
    path = tmp_path / "word"
    with pytest.raises(ConfigError, match="cannot be read"):
        Followed([path], lambda: read_word(path), "words")


def test_files_at_rest_are_not_read_again(tmp_path: Path) -> None:
    """A file is read again only while a second change could have the same time as the first."""
    path, reads = tmp_path / "word", []

    def read() -> str:
        reads.append(path)
        return read_word(path)

    path.write_text("one")
    later = time.time_ns() + 2 * SETTLED_NANOSECONDS
    words = Followed([path], read, "words", now=lambda: later)
    path.write_text("two")
    assert [words.fresh() for _ in range(3)] == ["two"] * 3
    assert len(reads) == 2
    young = Followed([path], read, "words", now=lambda: path.stat().st_ctime_ns)
    path.write_text("six")
    assert [young.fresh() for _ in range(3)] == ["six"] * 3
    assert len(reads) == 2 + 1 + 3

"""Values that follow their files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from queen.errors import ConfigError
from queen.serving.metrics import Metrics
from queen.serving.ports.followed import SETTLED_NANOSECONDS, Followed


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
    followed = Followed([tmp_path / "word"], lambda: read_word(tmp_path / "word"))
    assert followed.fresh() == "one"
    turned = tmp_path / "turned"
    turned.symlink_to(tmp_path / "two")
    turned.replace(link)
    assert followed.fresh() == "two"
    (tmp_path / "two" / "word").write_text("owt")
    assert followed.fresh() == "owt"


def test_a_refused_change_leaves_the_last_good_value(tmp_path: Path) -> None:
    """It is counted once, however often the value is asked for; a mended file is in force again."""
    path, metrics = tmp_path / "word", Metrics()
    path.write_text("good")
    followed = Followed([path], lambda: read_word(path), metrics)
    path.write_text("bad")
    assert [followed.fresh() for _ in range(3)] == ["good"] * 3
    text = generate_latest(metrics.registry).decode()
    assert 'config_load_total{file="tls",result="failure"} 1.0' in text
    path.unlink()
    assert followed.fresh() == "good"
    path.write_text("better")
    assert followed.fresh() == "better"


def test_a_first_file_must_be_good(tmp_path: Path) -> None:
    """Nothing starts with a value that was never read."""
    path = tmp_path / "word"
    with pytest.raises(ConfigError, match="cannot be read"):
        Followed([path], lambda: read_word(path))


def test_files_at_rest_are_not_read_again(tmp_path: Path) -> None:
    """A file is read again only while a second change could have the same time as the first."""
    path, reads = tmp_path / "word", []

    def read() -> str:
        reads.append(path)
        return read_word(path)

    path.write_text("one")
    later = time.time_ns() + 2 * SETTLED_NANOSECONDS
    followed = Followed([path], read, now=lambda: later)
    path.write_text("two")
    assert [followed.fresh() for _ in range(3)] == ["two"] * 3
    assert len(reads) == 2
    young = Followed([path], read, now=lambda: path.stat().st_ctime_ns)
    path.write_text("six")
    assert [young.fresh() for _ in range(3)] == ["six"] * 3
    assert len(reads) == 2 + 1 + 3

"""A rotated file: no line is lost or split, whatever the disk and the descriptors say."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.logs.rotating_file import RotatingFile


def mode_of(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def no_descriptor_left(spare: int = 0) -> Iterator[None]:
    """Only so many descriptors can be opened inside of the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + spare, hard))
    held = []
    try:
        os.close(probe)
        # Lower numbers may be free as well.
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for _ in range(spare):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)


def numbered(folder: Path) -> list[int]:
    """The numbers in all files of a log, the oldest first."""
    rotated = sorted(folder.glob("log.[0-9]*"), key=lambda path: -int(path.suffix[1:]))
    data = b"".join(path.read_bytes() for path in [*rotated, folder / "log"])
    return [int(line) for line in data.splitlines()]


def test_the_oldest_files_go(tmp_path: Path) -> None:
    """As many as asked for are kept, besides the one in use."""
    file = RotatingFile(tmp_path / "log", 4096, 2)
    for number in range(50):
        file.write(f"{number:0>999}\n".encode())
    file.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".log.lock", "log", "log.1", "log.2"]
    assert b"".join(
        (tmp_path / name).read_bytes() for name in ("log.2", "log.1", "log")
    ).splitlines() == [f"{number:0>999}".encode() for number in range(40, 50)]


def test_a_line_above_the_size_is_written_whole(tmp_path: Path) -> None:
    """It gets a file of its own."""
    file = RotatingFile(tmp_path / "log", 4096, 3)
    for line in (b"a\n", b"b" * 9000 + b"\n", b"c\n"):
        file.write(line)
    file.close()
    assert (tmp_path / "log.1").read_bytes() == b"b" * 9000 + b"\n"
    assert (tmp_path / "log").read_bytes() == b"c\n"


def test_new_files_are_their_owners_and_old_ones_keep_their_mode(tmp_path: Path) -> None:
    """0600 from the first byte on, whatever the umask; an operator's own choice stays."""
    before = os.umask(0)
    try:
        file = RotatingFile(tmp_path / "log", 4096, 3)
        file.write(b"a" * 4000 + b"\n")
        assert mode_of(tmp_path / "log") == 0o600
        (tmp_path / "log").chmod(0o640)
        file.write(b"b" * 4000 + b"\n")
        file.close()
        assert mode_of(tmp_path / "log") == 0o600
        assert mode_of(tmp_path / "log.1") == 0o640
        (tmp_path / "log").chmod(0o640)
        RotatingFile(tmp_path / "log", 4096, 3).close()
        assert mode_of(tmp_path / "log") == 0o640
    finally:
        os.umask(before)


def test_a_restart_goes_on_behind_the_last_line(tmp_path: Path) -> None:
    """And half a line, which a killed process left, stays the last one of its file."""
    for line in (b"one\n", b"two\n"):
        file = RotatingFile(tmp_path / "log", 4096, 3)
        file.write(line)
        file.close()
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"
    with (tmp_path / "log").open("ab") as stream:
        stream.write(b"thr")
    file = RotatingFile(tmp_path / "log", 4096, 3)
    file.write(b"four\n")
    file.close()
    assert (tmp_path / "log.1").read_bytes() == b"one\ntwo\nthr"
    assert (tmp_path / "log").read_bytes() == b"four\n"


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    """A second front door on the same file is refused in words, and may have it afterwards."""
    first = RotatingFile(tmp_path / "log", 4096, 3)
    with pytest.raises(ConfigError, match="another process writes its records there"):
        RotatingFile(tmp_path / "log", 4096, 3)
    first.close()
    RotatingFile(tmp_path / "log", 4096, 3).close()


def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """With its name and the system's reason."""
    with pytest.raises(ConfigError, match=r"none/log: cannot be written: No such file"):
        RotatingFile(tmp_path / "none" / "log", 4096, 3)


def test_the_reserve_pays_for_a_rotation_without_a_descriptor_left(tmp_path: Path) -> None:
    """The new file is opened in place of the reserve, and every line is kept."""
    file = RotatingFile(tmp_path / "log", 4096, 9)
    with no_descriptor_left():
        for number in range(8):
            file.write(f"{number:0>999}\n".encode())
    file.close()
    assert numbered(tmp_path) == list(range(8))
    assert (tmp_path / "log.1").stat().st_size <= 4096


def test_a_file_that_cannot_be_rotated_is_written_on_and_rotated_later(
    tmp_path: Path,
) -> None:
    """Nothing is renamed before the new file is open, and no line is lost for want of it."""
    file = RotatingFile(tmp_path / "log", 4096, 9)
    (tmp_path / ".log.next").mkdir()
    for number in range(20):
        file.write(f"{number:0>999}\n".encode())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".log.lock", ".log.next", "log"]
    assert (tmp_path / "log").stat().st_size == 20_000
    (tmp_path / ".log.next").rmdir()
    for number in range(20, 30):
        file.write(f"{number:0>999}\n".encode())
    file.close()
    assert (tmp_path / "log.1").exists()
    assert numbered(tmp_path) == list(range(30))


def test_whoever_follows_gets_the_descriptor_of_each_file(tmp_path: Path) -> None:
    """Standard error can be put there, too."""
    followed: list[int] = []
    file = RotatingFile(
        tmp_path / "log", 4096, 3, lambda descriptor: followed.append(os.fstat(descriptor).st_ino)
    )
    for number in range(8):
        file.write(f"{number:0>999}\n".encode())
    file.close()
    assert followed == [path.stat().st_ino for path in (tmp_path / "log.1", tmp_path / "log")]


def test_lines_of_others_fill_the_file(tmp_path: Path) -> None:
    """A library that writes to the same descriptor: the file is rotated, with a line or without."""
    file = RotatingFile(tmp_path / "log", 4096, 3)
    for number in range(2):
        with (tmp_path / "log").open("ab") as other:
            other.write(b"x" * 5000 + b"\n")
        file.write(b"ours\n" if number == 0 else b"")
    file.close()
    assert (tmp_path / "log.2").read_bytes() == b"x" * 5000 + b"\n"
    assert (tmp_path / "log.1").read_bytes() == b"ours\n" + b"x" * 5000 + b"\n"
    assert not (tmp_path / "log").read_bytes()

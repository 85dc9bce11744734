"""Files that only their owner may read."""

import pytest

from queen.cli.private_files import make_private_folder, read_key, replace_private, write_private
from queen.errors import ConfigError


def test_a_private_file_is_its_owners_and_never_overwritten(tmp_path):
    """A key that exists is not replaced by accident, and no draft stays behind."""
    write_private(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_replaced_file_is_private_unless_it_keeps_its_mode(tmp_path):
    """An accounts file keeps its readers when an entry is added; an export never had any."""
    (tmp_path / "accounts.yaml").write_bytes(b"old")
    (tmp_path / "accounts.yaml").chmod(0o640)
    replace_private(tmp_path / "accounts.yaml", b"new", keeps_mode=True)
    (tmp_path / "export").touch(mode=0o644)
    replace_private(tmp_path / "export", b"new")
    assert (tmp_path / "export").stat().st_mode & 0o777 == 0o600
    replace_private(tmp_path / "fresh.yaml", b"new")
    assert (tmp_path / "accounts.yaml").read_bytes() == b"new"
    assert (tmp_path / "accounts.yaml").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "fresh.yaml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"two keys\n", b"\xff\xfe"])
def test_key_file_that_holds_no_key_is_refused(tmp_path, content):
    """An empty, wordy or binary key file is a sentence."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match="a key of one line"):
        read_key(tmp_path / "key")


def test_a_private_folder_is_made_of_an_open_one(tmp_path):
    """A link, which another user could turn, is refused."""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    make_private_folder(folder)
    make_private_folder(tmp_path / "new")
    modes = {(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "new")}
    assert modes == {0o700}
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ConfigError, match="link: expected a folder of this user"):
        make_private_folder(tmp_path / "link")

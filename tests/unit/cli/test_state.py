import pytest

from queen.cli.state import StateFolder, read_key
from queen.errors import ConfigError
from queen.serving.auth import key_digest, read_accounts


@pytest.fixture
def folder(tmp_path):
    """A state folder of its own."""
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    return folder


def test_secret_is_made_once_and_private(folder):
    """The secret has 32 bytes, mode 0600, and is never made anew."""
    folder.ensure_secret()
    first = folder.secret.read_bytes()
    folder.ensure_secret()
    assert folder.secret.read_bytes() == first
    assert len(first) == 32
    assert folder.secret.stat().st_mode & 0o777 == 0o600


def test_short_secret_is_refused(folder):
    """A truncated key file is a sentence with expected and got, not a weak key."""
    folder.secret.write_bytes(b"short")
    with pytest.raises(ConfigError, match="at least 16 bytes, got 5"):
        folder.ensure_secret()


def test_local_account_matches_its_key(folder):
    """The accounts file that is made admits the key beside it; both are private."""
    folder.ensure_local_account()
    (entry,) = read_accounts(folder.accounts).accounts
    assert entry.key_sha256 == key_digest(read_key(folder.local_key))
    assert folder.local_key.stat().st_mode & 0o777 == 0o600


def test_one_holder_at_a_time(folder):
    """A second `queen up` on the folder is refused, and admitted once the first is gone."""
    with folder.locked(), pytest.raises(ConfigError, match="another `queen up`"), folder.locked():
        pass
    with folder.locked():
        pass


def test_logs_rotate(folder):
    """Earlier logs move on by one place and the oldest is dropped."""
    for number in range(6):
        log = folder.rotate_log("inference")
        assert not log.exists()
        log.write_text(str(number))
    kept = [log.with_suffix(f".log.{place}").read_text() for place in (1, 2, 3)]
    assert kept == ["4", "3", "2"]
    assert not log.with_suffix(".log.4").exists()


@pytest.mark.parametrize("content", [b"", b"two keys\n", b"\xff\xfe"])
def test_key_file_that_holds_no_key_is_refused(tmp_path, content):
    """An empty, wordy or binary key file is a sentence."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match="a key of one line"):
        read_key(tmp_path / "key")

"""Secret, local account and local operator, which `queen up` makes on its first run."""

import pytest

from queen.cli.private_files import read_key
from queen.cli.state import StateFolder
from queen.cli.up.credentials import ensure_local_account, ensure_local_operator, ensure_secret
from queen.errors import ConfigError
from queen.serving.accounts import read_accounts
from queen.serving.auth import key_digest
from queen.serving.ports.operators import Role, operator_digest, read_operators


@pytest.fixture
def folder(tmp_path):
    """A state folder of its own."""
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    return folder


def test_secret_is_made_once_and_private(folder):
    """The secret has 32 bytes, mode 0600, and is never made anew."""
    ensure_secret(folder)
    first = folder.secret.read_bytes()
    ensure_secret(folder)
    assert folder.secret.read_bytes() == first
    assert len(first) == 32
    assert folder.secret.stat().st_mode & 0o777 == 0o600


def test_short_secret_is_refused(folder):
    """A truncated key file is a sentence with expected and got, not a weak key."""
    folder.secret.write_bytes(b"short")
    with pytest.raises(ConfigError, match="at least 16 bytes, got 5"):
        ensure_secret(folder)


def test_local_account_matches_its_key(folder):
    """The accounts file that is made admits the key beside it; both are private."""
    ensure_local_account(folder)
    (entry,) = read_accounts(folder.accounts).accounts
    assert entry.key_sha256 == key_digest(read_key(folder.local_key))
    assert folder.local_key.stat().st_mode & 0o777 == 0o600


def test_local_operator_matches_its_key(folder):
    """The operator is made once, may act, and its key is private."""
    ensure_local_operator(folder)
    (entry,) = read_operators(folder.operators).operators
    assert (entry.name, entry.role) == ("local", Role.ACT)
    assert entry.key_sha256 == operator_digest(read_key(folder.operator_key))
    assert folder.operator_key.stat().st_mode & 0o777 == 0o600
    before = folder.operators.read_text()
    ensure_local_operator(folder)
    assert folder.operators.read_text() == before

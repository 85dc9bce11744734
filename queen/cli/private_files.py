"""Files that only the user who made them may read: keys, secrets, exports."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from queen.errors import ConfigError


def write_private(path: Path, content: bytes) -> None:
    """Create `path` readable by its user only, whole or not at all; never overwrites."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.link(fresh, path)
    finally:
        fresh.unlink()


def replace_private(path: Path, content: bytes, *, keeps_mode: bool = False) -> None:
    """Write `path` whole or not at all; it is private, unless it `keeps_mode` of an old file."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    write_private(fresh, content)
    if keeps_mode and path.exists():
        fresh.chmod(path.stat().st_mode & 0o777)
    fresh.replace(path)


def make_private_folder(path: Path) -> None:
    """Make `path` a folder that its user alone may enter, also if it exists already.

    Raises ConfigError for a link or another user's folder, which others could exchange.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = path.stat(follow_symlinks=False)
    if stat.S_ISLNK(facts.st_mode) or facts.st_uid != os.geteuid():
        raise ConfigError(f"{path}: expected a folder of this user, got a link or another user's")
    if facts.st_mode & 0o077:
        path.chmod(0o700)


def read_key(path: Path) -> str:
    """The key in a file of one line; ConfigError for a file that holds none."""
    try:
        key = path.read_text().strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected a key of one line of text, got bytes") from error
    if not key or any(character.isspace() for character in key):
        raise ConfigError(f"{path}: expected a key of one line of text, got none or several")
    return key

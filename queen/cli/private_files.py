"""Files that only the user who made them may read: keys, secrets, exports."""

from __future__ import annotations

import os
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


def replace_private(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all; a new file is private, an old file keeps its mode."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    write_private(fresh, content)
    if path.exists():
        fresh.chmod(path.stat().st_mode & 0o777)
    fresh.replace(path)


def read_key(path: Path) -> str:
    """The key in a file of one line; ConfigError for a file that holds none."""
    try:
        key = path.read_text().strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected a key of one line of text, got bytes") from error
    if not key or any(character.isspace() for character in key):
        raise ConfigError(f"{path}: expected a key of one line of text, got none or several")
    return key

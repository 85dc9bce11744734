"""URLs of a Redis: their parts, and the URLs that are refused without being quoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from queen_sensitivity.ledger_store.redis.address import RedisAddress, read_address
from queen_sensitivity.settings import SensitivitySettings

from queen.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", RedisAddress((("localhost", 6379),))),
        ("redis://[::1]:7000/3", RedisAddress((("::1", 7000),), database=3)),
        (
            "rediss://me:p%40ss%2F@redis.internal:6380",
            RedisAddress((("redis.internal", 6380),), is_tls=True, username="me", password="p@ss/"),  # noqa: S106 - an example
        ),
        ("redis://:secret@h", RedisAddress((("h", 6379),), password="secret")),  # noqa: S106
        (
            "redis+cluster://a:1,b,c:3",
            RedisAddress((("a", 1), ("b", 6379), ("c", 3)), is_cluster=True),
        ),
        ("rediss+cluster://a:1", RedisAddress((("a", 1),), is_cluster=True, is_tls=True)),
    ],
)
def test_a_url_has_its_parts(url: str, expected: RedisAddress) -> None:
    """Hosts, ports, TLS, cluster, database, user and password."""
    assert read_address(url) == expected
    assert expected.password is None or expected.password not in f"{expected} {expected!r}"


@pytest.mark.parametrize(
    "url",
    [
        "postgres://me:hidden@h",
        "redis://me:hidden@h:port",
        "redis://me:hidden@h:99999",
        "redis://me:hidden@",
        "redis://me:hidden@h/first",
        "redis://me:hidden@h?db=1",
        "redis://me:hidden@h1,h2",
        "redis+cluster://me:hidden@h/1",
        "redis://me:hid/den@h",
    ],
)
def test_another_form_is_refused_and_not_quoted(url: str) -> None:
    """The operator reads the expected form; a log gets no password."""
    with pytest.raises(ConfigError, match="state: expected") as refusal:
        SensitivitySettings(bundle=Path(), state=url)
    assert "hid" not in str(refusal.value)


def test_the_password_may_be_in_a_file(tmp_path: Path) -> None:
    """A line break at its end is the editor's; a second password in the URL is refused."""
    file = tmp_path / "password"
    file.write_text("secret word\n")
    address = read_address("redis://me@h", file)
    assert (address.username, address.password) == ("me", "secret word")
    with pytest.raises(ConfigError, match="not both"):
        read_address("redis://me:other@h", file)
    file.write_text("\n")
    with pytest.raises(ConfigError, match="empty file"):
        read_address("redis://me@h", file)
    with pytest.raises(ConfigError, match="cannot read it"):
        read_address("redis://me@h", tmp_path / "none")


def test_the_settings_are_shown_without_the_password() -> None:
    """The settings that the service logs at the start hold no secret."""
    settings = SensitivitySettings(bundle=Path(), state="redis+cluster://me:hidden@a:1,b:2")
    shown = settings.describe_effective()["state"]
    assert shown == "redis+cluster://me:***@a:1,b:2"

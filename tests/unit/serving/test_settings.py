"""Settings as a value: made directly, spelled, and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from queen.serving.settings import InnerSettings
from queen.serving.settings_sources import load_settings
from tests.unit.serving.toy_settings import ToySettings


def test_settings_made_directly_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test or the red team that makes settings gets no surprise from the environment."""
    monkeypatch.setenv("QUEEN_TOY_PORT", "2")
    assert ToySettings(bundle=Path("b")).port == 9001
    with pytest.raises(ValidationError):
        ToySettings(bundle=Path("b"), prot=3)  # type: ignore[call-arg]


def test_a_setting_is_spelled_in_each_source() -> None:
    """The flag and the variable follow from the name."""
    assert ToySettings.flag("metrics_port") == "--metrics-port"
    assert ToySettings.variable("metrics_port") == "QUEEN_TOY_METRICS_PORT"


def test_a_password_in_a_url_is_masked() -> None:
    """A URL in a log is enough to find the store, and not to open it."""
    settings = ToySettings(bundle=Path("b"), store="redis://user:hunter2@host:6379/0")
    assert settings.describe_effective()["store"] == "redis://user:***@host:6379/0"


def test_secrets_are_masked_in_what_is_shown() -> None:
    """Neither the effective settings nor an error about a secret repeats it."""
    settings = load_settings(ToySettings, ["--bundle", "b", "--token", "hunter2"])
    assert "hunter2" not in str(settings.describe_effective())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tls_cert_file": "a"}, "tls-cert-file and tls-key-file together"),
        ({"tls_client_ca_file": "a"}, "expected tls-cert-file with tls-client-ca-file"),
        ({"tls_cert_file": "a", "tls_key_file": "b", "socket": "c"}, "a socket or TLS, got both"),
    ],
)
def test_tls_is_stated_whole(files: dict[str, str], words: str) -> None:
    """A pair, authorities with it or not, and no socket."""
    with pytest.raises(ValidationError, match=words):
        ToySettings(bundle="bundle", **files)


def inner(**given: object) -> InnerSettings:
    """Settings of a service that the front door alone calls."""
    return InnerSettings(bundle="bundle", port=0, metrics_port=0, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": "192.0.2.1"}, "could ask in any account's name"),
        ({"callers": "door"}, "callers and tls-client-ca-file together"),
        (
            {"tls_cert_file": "a", "tls_key_file": "b", "tls_client_ca_file": "c"},
            "callers and tls-client-ca-file together",
        ),
    ],
)
def test_an_inner_service_knows_its_callers(given: dict[str, str], words: str) -> None:
    """On a network it names them, or is told that it need not."""
    with pytest.raises(ValidationError, match=words):
        inner(**given)


def test_ways_to_keep_others_out_of_an_inner_service() -> None:
    """Loopback, a socket, certificates, and the network's own rules."""
    files = {"tls_cert_file": "a", "tls_key_file": "b", "tls_client_ca_file": "c"}
    assert inner().admitted is None
    assert inner(host="192.0.2.1", socket="s").admitted is None
    assert inner(host="192.0.2.1", allow_anonymous_callers=True).admitted is None
    assert inner(host="192.0.2.1", callers="door", **files).admitted is not None

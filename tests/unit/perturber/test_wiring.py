"""The perturber's objects, as they are built from settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from queen_perturber.servicer import PERTURBER
from queen_perturber.settings import PerturberSettings
from queen_perturber.wiring import follow_secrets, open_service

from queen.errors import BundleNotFound, ConfigError
from queen.method.answers.fingerprint import fingerprint_of
from queen.serving.health import Health
from queen.serving.metrics import Metrics
from queen.serving.service_identity import IDENTITY
from queen.serving.shell import Shell
from tests.unit.perturber.flagged import FINGERPRINT, SECRET, small_bundle


def settings_of(bundle: Path, folder: Path, secret: bytes = SECRET) -> PerturberSettings:
    """Settings with a secret of their own."""
    (folder / "secret").write_bytes(secret)
    return PerturberSettings(bundle=bundle, secret_file=folder / "secret", device="cpu")


async def test_one_service_is_offered(tmp_path: Path) -> None:
    """The servicer and the identity, under the names that health and reflection show."""
    small = small_bundle(tmp_path)
    shell = Shell(Metrics(), Health())
    async with open_service(settings_of(small.path, tmp_path), shell) as offers:
        offered = [(offer.name, offer.on) for offer in offers]
        assert offered == [(PERTURBER, "main"), (IDENTITY, "main")]


@pytest.mark.parametrize(("secret", "error"), [(b"short", ConfigError), (SECRET, BundleNotFound)])
async def test_a_service_that_cannot_answer_is_not_offered(
    tmp_path: Path, secret: bytes, error: type[Exception]
) -> None:
    """A secret that is too short and a bundle that is missing end the start."""
    shell = Shell(Metrics(), Health())
    with pytest.raises(error):
        async with open_service(settings_of(tmp_path / "none", tmp_path, secret), shell):
            pass


def test_secrets_are_followed_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    """The log tells the fingerprints once a change, and neither log nor metric tells a secret."""
    newer, metrics = b"a secret that comes later", Metrics()
    settings = settings_of(tmp_path, tmp_path)
    settings = settings.model_copy(update={"retiring_secret_file": tmp_path / "retiring"})
    with structlog.testing.capture_logs() as lines:
        secrets = follow_secrets(settings, metrics)
        assert secrets.fresh().fingerprints == [FINGERPRINT]
        (tmp_path / "retiring").write_bytes(SECRET)
        (tmp_path / "secret").write_bytes(newer)
        assert secrets.fresh().fingerprints == [fingerprint_of(newer), FINGERPRINT]
        assert secrets.fresh().by_fingerprint[FINGERPRINT] == SECRET
        (tmp_path / "secret").write_bytes(b"short")
        assert secrets.fresh().fingerprints == [fingerprint_of(newer), FINGERPRINT]
    told = [(line["current"], line["retiring"]) for line in lines if "current" in line]
    assert told == [(FINGERPRINT, []), (fingerprint_of(newer), [FINGERPRINT])]
    failures = {"file": "secrets", "result": "failure"}
    assert metrics.registry.get_sample_value("config_load_total", failures) == 1
    assert "comes later" not in str(lines)

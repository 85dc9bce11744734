"""The perturber's objects, as they are built from settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from queen_perturber.servicer import PERTURBER
from queen_perturber.settings import PerturberSettings
from queen_perturber.wiring import open_service

from queen.errors import BundleNotFound, ConfigError
from queen.serving.health import Health
from queen.serving.metrics import Metrics
from queen.serving.server import Shell
from tests.unit.perturber.flagged import SECRET, small_bundle


def settings_of(bundle: Path, folder: Path, secret: bytes = SECRET) -> PerturberSettings:
    """Settings with a secret of their own."""
    (folder / "secret").write_bytes(secret)
    return PerturberSettings(bundle=bundle, secret_file=folder / "secret", device="cpu")


async def test_one_service_is_offered(tmp_path: Path) -> None:
    """The servicer is offered under the name that health and reflection show."""
    small = small_bundle(tmp_path)
    shell = Shell(Metrics(), Health())
    async with open_service(settings_of(small.path, tmp_path), shell) as offers:
        assert [(offer.name, offer.on) for offer in offers] == [(PERTURBER, "main")]


@pytest.mark.parametrize(("secret", "error"), [(b"short", ConfigError), (SECRET, BundleNotFound)])
async def test_a_service_that_cannot_answer_is_not_offered(
    tmp_path: Path, secret: bytes, error: type[Exception]
) -> None:
    """A secret that is too short and a bundle that is missing end the start."""
    shell = Shell(Metrics(), Health())
    with pytest.raises(error):
        async with open_service(settings_of(tmp_path / "none", tmp_path, secret), shell):
            pass

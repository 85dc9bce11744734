"""The parts that all scenarios share: bundle, perturber, thread of the proxies, seed, counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bundles import SmallBundle, Widths, make_bundle
from tests.chaos.checks.report import Tally
from tests.chaos.proxy import ProxyLoop
from tests.service_process import ServiceProcess, running_service


@dataclass(frozen=True)
class Setting:
    """`seed` decides what the scenarios draw, and `tallies` grow by one for each of them.

    The perturber keeps nothing, so it can serve every scenario.
    """

    small: SmallBundle
    perturber: ServiceProcess
    loop: ProxyLoop
    seed: int
    tallies: list[Tally] = field(default_factory=list)


@contextmanager
def open_setting(folder: Path, seed: int) -> Iterator[Setting]:
    """A setting for the length of a block."""
    small = make_bundle(folder / "bundle", widths=Widths(embeddings=3), coverage_fraction=0.05)
    secret = folder / "secret"
    secret.write_bytes(b"s" * 32)
    settings = {"bundle": small.path, "secret_file": secret, "device": "cpu"}
    with ProxyLoop() as loop, running_service("perturber", folder, **settings) as perturber:
        yield Setting(small, perturber, loop, seed)

"""Builds the perturber: its shadow models and decoy, its thread, its servicer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import torch

from queen.api.v1 import perturber_pb2_grpc
from queen.bundle import Bundle, open_bundle
from queen.method.answers.decoy import make_decoy
from queen.method.answers.ensemble import ShadowDraw, ShadowEnsemble
from queen.method.answers.misdirection import keyed_name, partner_classes
from queen.serving.lasting.followed import Followed
from queen.serving.logging import logger
from queen.serving.metrics import Metrics
from queen.serving.service_identity import identity_offer
from queen.serving.shell import Offer, Shell
from queen_perturber.metrics import PerturberMetrics
from queen_perturber.reversal import Reversal, Reversals
from queen_perturber.secret import Secrets, read_secrets
from queen_perturber.servicer import PERTURBER, PerturberServicer
from queen_perturber.settings import PerturberSettings
from queen_perturber.shadows import choose_device, load_shadows
from queen_perturber.turns import TurnLength, Turns


@asynccontextmanager
async def open_service(settings: PerturberSettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
    """Load the bundle's shadow models and offer the servicer; its thread ends after the drain."""
    secrets = follow_secrets(settings, shell.metrics)
    device = choose_device(settings.device)
    torch.set_num_threads(settings.threads)
    bundle = open_bundle(settings.bundle)
    make = partial(make_reversal, bundle, load_shadows(bundle, device))
    reversals = Reversals(make, secrets.fresh)
    metrics = PerturberMetrics(shell.metrics)

    def fingerprints() -> Sequence[int]:
        return secrets.fresh().fingerprints

    metrics.show_secrets(fingerprints)
    with ThreadPoolExecutor(1, "compute") as compute:
        waiting = settings.max_waiting
        turns = Turns(reversals.answer, compute, TurnLength(), metrics, max_waiting=waiting)
        servicer = PerturberServicer(bundle, fingerprints, turns, metrics, settings.max_rows)
        add = perturber_pb2_grpc.add_PerturberServiceServicer_to_server
        identity = identity_offer(bundle.digest, fingerprints)
        yield [Offer(PERTURBER, partial(add, servicer)), identity]


def follow_secrets(settings: PerturberSettings, metrics: Metrics) -> Followed[Secrets]:
    """The secrets of the settings' files, which are followed; ConfigError as `read_secrets`.

    The fingerprints are logged whenever the files have changed.
    """
    files = [settings.secret_file, settings.retiring_secret_file]
    known: list[int] = []

    def read() -> Secrets:
        secrets = read_secrets(settings.secret_file, settings.retiring_secret_file)
        if secrets.fingerprints != known:
            known[:] = current, *retiring = secrets.fingerprints
            logger("secrets").info("secrets in force", current=current, retiring=retiring)
        return secrets

    return Followed([file for file in files if file is not None], read, "secrets", metrics)


def make_reversal(bundle: Bundle, ensemble: ShadowEnsemble, secret: bytes) -> Reversal:
    """The answers of a bundle, keyed by the secret and the bundle's digest."""
    spec = bundle.manifest.shadows
    return Reversal(
        ensemble,
        ShadowDraw(secret, bundle.digest, bundle.geometry, spec.count, spec.drawn),
        partner_classes(keyed_name(secret, bundle.digest), bundle.manifest.num_classes),
        make_decoy(secret, bundle.digest, bundle.sketch_space),
    )

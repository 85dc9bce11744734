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
from queen.serving.server import Offer, Shell
from queen_perturber.metrics import PerturberMetrics
from queen_perturber.reversal import Reversal
from queen_perturber.secret import read_secret
from queen_perturber.servicer import PERTURBER, PerturberServicer
from queen_perturber.settings import PerturberSettings
from queen_perturber.shadows import choose_device, load_shadows
from queen_perturber.turns import TurnLength, Turns


@asynccontextmanager
async def open_service(settings: PerturberSettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
    """Load the bundle's shadow models and offer the servicer; its thread ends after the drain."""
    secret = read_secret(settings.secret_file)
    device = choose_device(settings.device)
    torch.set_num_threads(settings.threads)
    bundle = open_bundle(settings.bundle)
    reversal = make_reversal(bundle, load_shadows(bundle, device), secret)
    metrics = PerturberMetrics(shell.metrics)
    with ThreadPoolExecutor(1, "compute") as compute:
        waiting = settings.max_waiting
        turns = Turns(reversal.answer, compute, TurnLength(), metrics, max_waiting=waiting)
        servicer = PerturberServicer(bundle, turns, metrics, settings.max_rows)
        add = perturber_pb2_grpc.add_PerturberServiceServicer_to_server
        yield [Offer(PERTURBER, partial(add, servicer))]


def make_reversal(bundle: Bundle, ensemble: ShadowEnsemble, secret: bytes) -> Reversal:
    """The answers of a bundle, keyed by the secret and the bundle's digest."""
    spec = bundle.manifest.shadows
    return Reversal(
        ensemble,
        ShadowDraw(secret, bundle.digest, bundle.geometry, spec.count, spec.drawn),
        partner_classes(keyed_name(secret, bundle.digest), bundle.manifest.num_classes),
        make_decoy(secret, bundle.digest, bundle.sketch_space),
    )

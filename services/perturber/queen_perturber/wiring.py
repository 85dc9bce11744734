"""Where the service's objects meet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import torch

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.bundle import open_bundle
from queen.serving.server import Offer, Shell
from queen_perturber.secret import read_secret
from queen_perturber.servicer import PerturberMetrics, PerturberServicer
from queen_perturber.settings import PerturberSettings
from queen_perturber.shadows import Reversal, choose_device, load_shadows

PERTURBER = perturber_pb2.DESCRIPTOR.services_by_name["PerturberService"].full_name


@asynccontextmanager
async def open_service(settings: PerturberSettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
    """The servicer over the bundle's shadow models; its thread ends after the drain."""
    secret = read_secret(settings.secret_file)
    device = choose_device(settings.device)
    torch.set_num_threads(settings.threads)
    bundle = open_bundle(settings.bundle)
    reversal = Reversal(bundle, load_shadows(bundle, device), secret)
    with ThreadPoolExecutor(1, "compute") as compute:
        servicer = PerturberServicer(
            bundle,
            reversal,
            compute,
            PerturberMetrics(shell.metrics),
            max_rows=settings.max_rows,
            max_waiting=settings.max_waiting,
        )
        yield (
            Offer(
                PERTURBER,
                lambda server: perturber_pb2_grpc.add_PerturberServiceServicer_to_server(
                    servicer, server
                ),
            ),
        )

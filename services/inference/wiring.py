"""Where the objects of the inference service meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from queen.api.oip import open_inference_pb2_grpc
from queen.bundle import Bundle, open_bundle
from queen.errors import ConfigError
from queen.method.sensitivity import largest_budget
from queen.serving.auth import AccountsFile, Keyring, watched_keyring
from queen.serving.health import Health
from queen.serving.server import Offer, Shell

from .answer import Answerer, Policy
from .batching import Limits, MicroBatcher
from .clients import (
    PERTURBER,
    SENSITIVITY,
    Peer,
    PerturberClient,
    SensitivityClient,
    watch_peers,
)
from .decisions import DecisionLog
from .door import FrontDoor
from .measures import Measures
from .models import Protectee
from .servicer import NAME, InferenceServicer
from .settings import InferenceSettings


@asynccontextmanager
async def open_service(settings: InferenceSettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
    """Load and warm the model, follow the accounts and the peers, and offer the front door."""
    measures = Measures(shell.metrics)
    async with AsyncExitStack() as stack:
        bundle = open_bundle(settings.bundle)
        keyring = await stack.enter_async_context(
            watched_keyring(settings.accounts, shell.metrics, partial(require_budgets, bundle))
        )
        protectee = Protectee(
            bundle, threads=settings.threads, max_batch_rows=settings.max_batch_rows
        )
        peers = await stack.enter_async_context(_open_peers(settings, shell.health, measures))
        answerer = _answerer(settings, bundle, peers, measures)
        batcher = MicroBatcher(protectee, answerer.finish, _limits(settings), measures)
        batcher.start()
        stack.push_async_callback(batcher.close)
        measures.queue_rows.set_function(lambda: batcher.rows)
        yield [_offer(settings, bundle, keyring, batcher, shell.health, measures)]


def require_budgets(bundle: Bundle, accounts: AccountsFile) -> None:
    """Refuse a budget that no class of this bundle can spend; ConfigError names its entry.

    Sensitivity would refuse every micro-batch that such an account is in, and with it
    the verdicts of its neighbours.
    """
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    budgets = [("entry", place, entry.budget) for place, entry in enumerate(accounts.accounts, 1)]
    budgets += [("group", place, group.budget) for place, group in enumerate(accounts.groups, 1)]
    for kind, number, budget in budgets:
        if budget is not None and budget > largest:
            raise ConfigError(
                f"accounts file, {kind} {number}: expected a budget of at most {largest}, "
                f"got {budget}: the sensitive regions of this bundle are full before"
            )


def _offer(
    settings: InferenceSettings,
    bundle: Bundle,
    keyring: Keyring,
    batcher: MicroBatcher,
    health: Health,
    measures: Measures,
) -> Offer:
    door = FrontDoor(bundle.manifest, keyring, batcher, settings.max_request_rows, measures)
    add = open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server
    return Offer(NAME, partial(add, InferenceServicer(door, health)))


def _answerer(
    settings: InferenceSettings, bundle: Bundle, peers: dict[str, Peer], measures: Measures
) -> Answerer:
    policy = Policy(
        settings.default_profile,
        settings.failure_mode,
        settings.assess_timeout_seconds,
        settings.reverse_timeout_seconds,
        settings.deadline_margin_seconds,
        settings.balanced_l1,
    )
    return Answerer(
        bundle,
        policy,
        SensitivityClient(peers["sensitivity"], bundle.digest, settings.default_profile),
        PerturberClient(peers["perturber"], bundle.digest),
        DecisionLog(settings.decision_log, bundle.digest, settings.default_profile),
        measures,
    )


def _limits(settings: InferenceSettings) -> Limits:
    return Limits(
        settings.max_batch_rows,
        settings.queue_rows,
        settings.account_rows,
        settings.batches_in_flight,
    )


@asynccontextmanager
async def _open_peers(
    settings: InferenceSettings, health: Health, measures: Measures
) -> AsyncIterator[dict[str, Peer]]:
    """Channels to the peers, probed once before we serve and then for as long as we do."""
    cap = settings.max_message_bytes
    peers = {
        "sensitivity": Peer(settings.sensitivity_target, SENSITIVITY, cap),
        "perturber": Peer(settings.perturber_target, PERTURBER, cap),
    }
    names = {peer.service: name for name, peer in peers.items()}

    async def seen(peer: Peer) -> None:
        measures.dependency_up[names[peer.service]].set(peer.is_up)
        await health.set_serving(peer.service, serving=peer.is_up)
        if settings.failure_mode == "deny":
            ready = all(each.is_up for each in peers.values())
            await health.set_serving(NAME, serving=ready)

    for peer in peers.values():
        await peer.probe(settings.probe_seconds)
        await seen(peer)
    watcher = asyncio.create_task(watch_peers(list(peers.values()), settings.probe_seconds, seen))
    try:
        yield peers
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        for peer in peers.values():
            await peer.channel.close(None)

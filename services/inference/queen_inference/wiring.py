"""Where the objects of the inference service meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial

from queen.api.oip import open_inference_pb2_grpc
from queen.bundle import Bundle, open_bundle
from queen.errors import ConfigError
from queen.method.sensitivity import largest_budget
from queen.serving.accounts import AccountsFile
from queen.serving.auth import Keyring, watched_keyring
from queen.serving.health import Health
from queen.serving.server import Offer, Shell
from queen_inference.answers.answerer import Answerer, Policy
from queen_inference.batching import Limits, MicroBatcher
from queen_inference.decisions.file import DecisionFile
from queen_inference.decisions.log import DecisionLog, write_to_stream
from queen_inference.door import FrontDoor
from queen_inference.metrics import Measures
from queen_inference.peers.clients import Assessor, PerturberClient, SensitivityClient
from queen_inference.peers.endpoints import read_target
from queen_inference.peers.loop_clock import Attention
from queen_inference.peers.peer import PERTURBER, SENSITIVITY, Peer, Probed, watch_peers
from queen_inference.peers.replicas import Replica, Replicas
from queen_inference.peers.routing import RoutedClient
from queen_inference.protectee import Protectee
from queen_inference.servicer import NAME, InferenceServicer
from queen_inference.settings import InferenceSettings


@asynccontextmanager
async def open_service(settings: InferenceSettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
    """Load and warm the model, follow the accounts and the peers, and offer the front door."""
    measures, attention = Measures(shell.metrics), Attention()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(attention.paid())
        bundle = open_bundle(settings.bundle)
        keyring = await stack.enter_async_context(
            watched_keyring(settings.accounts, shell.metrics, partial(require_budgets, bundle))
        )
        protectee = Protectee(
            bundle, threads=settings.threads, max_batch_rows=settings.max_batch_rows
        )
        clients = await stack.enter_async_context(
            _open_peers(settings, bundle, shell.health, measures, attention)
        )
        decisions = stack.enter_context(_open_decisions(settings, bundle, measures))
        answerer = _answerer(settings, bundle, clients, decisions, measures, attention)
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
    settings: InferenceSettings,
    bundle: Bundle,
    clients: tuple[Assessor, PerturberClient],
    decisions: DecisionLog,
    measures: Measures,
    attention: Attention,
) -> Answerer:
    policy = Policy(
        settings.default_profile,
        settings.failure_mode,
        settings.assess_timeout_seconds,
        settings.assess_patience_seconds,
        settings.reverse_timeout_seconds,
        settings.deadline_margin_seconds,
        settings.balanced_l1,
    )
    return Answerer(
        bundle,
        policy,
        *clients,
        decisions,
        measures,
        attention.now,
    )


@contextmanager
def _open_decisions(
    settings: InferenceSettings, bundle: Bundle, measures: Measures
) -> Iterator[DecisionLog]:
    """The decision log; what waits to be written is written at the end."""
    with ExitStack() as stack:
        write = write_to_stream
        if settings.decision_log_file is not None and settings.decision_log != "off":
            file = DecisionFile(
                settings.decision_log_file,
                settings.decision_log_max_bytes,
                settings.decision_log_kept,
                measures.decisions_lost,
            )
            stack.callback(file.close)
            write = file.offer
        yield DecisionLog(
            settings.decision_log,
            bundle,
            settings.default_profile,
            write,
            share_of_preserved=settings.decision_log_sample,
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
    settings: InferenceSettings,
    bundle: Bundle,
    health: Health,
    measures: Measures,
    attention: Attention,
) -> AsyncIterator[tuple[Assessor, PerturberClient]]:
    """Clients of the peers, probed once before we serve and then for as long as we do."""
    cap = settings.max_message_bytes
    perturber = Peer(settings.perturber_target, PERTURBER, cap, clock=attention.now)
    sensitivity, assessor = await _open_sensitivity(settings, bundle, measures, attention)
    peers: dict[str, Probed] = {"sensitivity": sensitivity, "perturber": perturber}
    names = {peer.service: name for name, peer in peers.items()}

    async def seen(peer: Probed) -> None:
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
        yield assessor, PerturberClient(perturber, bundle.digest)
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        for peer in peers.values():
            await peer.close()


async def _open_sensitivity(
    settings: InferenceSettings, bundle: Bundle, measures: Measures, attention: Attention
) -> tuple[Probed, Assessor]:
    """The replicas and the client that routes to them; without affinity, one channel for all."""

    def open_replica(endpoint: str, retries: bool) -> Replica:
        cap, clock = settings.max_message_bytes, attention.now
        peer = Peer(endpoint, SENSITIVITY, cap, retries=retries, clock=clock)
        client = SensitivityClient(
            peer,
            bundle.digest,
            settings.default_profile,
            with_facts=settings.decision_log != "off",
        )
        return Replica(peer, client)

    known, up = measures.endpoints["known"], measures.endpoints["up"]
    if not settings.affinity:
        one = open_replica(settings.sensitivity_target, True)
        known.set(1)
        up.set_function(lambda: one.peer.is_up)
        return one.peer, one.client
    places = read_target(settings.sensitivity_target)
    replicas = Replicas(SENSITIVITY, places, open_replica, settings.resolve_seconds)
    known.set_function(lambda: len(replicas.members))
    up.set_function(lambda: len(replicas.up))
    await replicas.start()
    return replicas, RoutedClient(replicas, measures.failovers)

"""Builds the front door: its model, its peers and their clients, its answers, its servicer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import NamedTuple

from queen.api.oip import open_inference_pb2_grpc
from queen.bundle import Bundle, open_bundle
from queen.serving.identity.opening import Credentials, followed_keyring
from queen.serving.identity.tokens import TokenRules
from queen.serving.lasting.tasks import Lasting
from queen.serving.logging import logger
from queen.serving.logs.rotating_file import RotatingFile
from queen.serving.shell import Offer, Shell
from queen_inference.answers.allowance import Allowance
from queen_inference.answers.answerer import Answerer, Clocks, Policy
from queen_inference.answers.fallback import Fallback
from queen_inference.answers.hold import Hold
from queen_inference.answers.last_verdicts import LastVerdicts
from queen_inference.answers.preserve import Preserver
from queen_inference.answers.reverse import Reverser
from queen_inference.answers.unassessed import Unassessed
from queen_inference.batching import Limits, MicroBatcher
from queen_inference.budgets import require_budgets
from queen_inference.decisions.file import DecisionFile
from queen_inference.decisions.log import (
    DecisionLog,
    DecisionRecorder,
    LateRecorder,
    write_to_stream,
)
from queen_inference.decisions.shares import SPAN_SECONDS, Shares
from queen_inference.door import FrontDoor, ServedModel
from queen_inference.metrics import InferenceMetrics
from queen_inference.peers.dialing import Dialer
from queen_inference.peers.endpoints import read_target
from queen_inference.peers.inquiry import Inquiry
from queen_inference.peers.peer import LoopClock, Peer, Probed
from queen_inference.peers.perturber import PERTURBER, PerturberClient, Reverses
from queen_inference.peers.perturbers import Agreement, Perturbers
from queen_inference.peers.replicas import Replica, Replicas
from queen_inference.peers.routing import RoutedClient
from queen_inference.peers.sensitivity import SENSITIVITY, Assessor, SensitivityClient
from queen_inference.peers.watch import PeerWatch
from queen_inference.protectee import Protectee
from queen_inference.servicer import INFERENCE, Admission, InferenceServicer, terms_of
from queen_inference.settings import InferenceSettings

Clients = tuple[Assessor, Reverses]
Dial = Callable[..., Peer]
"""Makes a peer out of a target, a service and a cap; it serves only with the same bundle."""


class _Peers(NamedTuple):
    """How peers are made, the secrets that they are told, and who keeps their look-ups."""

    dial: Dial
    secrets: Callable[[], Sequence[int]]
    lasting: Lasting


@asynccontextmanager
async def open_service(settings: InferenceSettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
    """Load and warm the model, follow the accounts and the peers, and offer the front door."""
    metrics, clock = InferenceMetrics(shell.metrics), LoopClock()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(clock.running(shell.lasting))
        bundle = open_bundle(settings.bundle)
        check = partial(require_budgets, bundle)
        keyring = await stack.enter_async_context(
            followed_keyring(_credentials(settings), shell.metrics, shell.lasting, check)
        )
        protectee = Protectee(
            bundle, threads=settings.threads, max_batch_rows=settings.max_batch_rows
        )
        dialer = Dialer(settings.peer_files, settings.expected_perturber_name, shell.metrics)
        dial = _dial(bundle, clock, dialer)
        perturbers = await _open_perturbers(settings, bundle, metrics, dial, shell.lasting)
        stack.push_async_callback(perturbers.close)
        dialer = Dialer(settings.peer_files, settings.expected_sensitivity_name, shell.metrics)
        peers = _Peers(_dial(bundle, clock, dialer), perturbers.secrets, shell.lasting)
        sensitivity, assessor = await _open_sensitivity(settings, bundle, metrics, peers)
        stack.push_async_callback(sensitivity.close)
        watch = PeerWatch(
            {"sensitivity": sensitivity, "perturber": perturbers},
            metrics.dependency_up,
            shell.health,
            gated=INFERENCE if settings.failure_mode == "deny" else None,
        )
        await stack.enter_async_context(watch.running(settings.probe_seconds, shell.lasting))
        if settings.await_peers_seconds:
            await watch.reached(settings.await_peers_seconds)
        decisions = stack.enter_context(_open_decisions(settings, bundle, metrics))
        hold = Hold()
        stack.enter_context(hold.running(shell.lasting.guarded))
        answerer = make_answerer(
            bundle,
            _policy(settings),
            (assessor, perturbers),
            decisions,
            metrics,
            Clocks(clock.now, hold),
        )
        executor = stack.enter_context(ThreadPoolExecutor(1, "protectee"))
        batcher = MicroBatcher(protectee, executor, answerer.finish, _limits(settings), metrics)
        batcher.start(shell.lasting)
        stack.push_async_callback(batcher.close)
        metrics.queue_rows.set_function(lambda: batcher.rows)
        model = ServedModel.of(bundle.manifest)
        door = FrontDoor(model, keyring, batcher, settings.max_request_rows)
        servicer = InferenceServicer(door, shell.health, metrics)
        add = open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server
        admission = Admission(door.authenticate, private_metadata=settings.private_metadata)
        terms = terms_of(admission.admit, door, settings.max_message_bytes)
        yield [Offer(INFERENCE, partial(add, servicer), terms=terms)]


def make_answerer(
    bundle: Bundle,
    policy: Policy,
    clients: Clients,
    decisions: DecisionRecorder,
    metrics: InferenceMetrics,
    clocks: Clocks = Clocks(),  # noqa: B008 - holds nothing unless it runs
) -> Answerer:
    """The answerer of a bundle over clients of its two peers."""
    sensitivity, perturber = clients
    allowances = (Allowance(policy.unassessed_rows, clocks.listened) for _ in range(2))
    fallback = Fallback(policy.failure_mode, metrics, Unassessed(LastVerdicts(), *allowances))
    return Answerer(
        policy,
        sensitivity,
        Preserver(bundle, fallback, metrics),
        Reverser(bundle, perturber, policy.balanced_l1, fallback, metrics),
        fallback,
        decisions,
        metrics,
        clocks,
    )


def _credentials(settings: InferenceSettings) -> Credentials:
    rules = None
    if settings.jwt_issuer is not None and settings.jwt_audience is not None:
        rules = TokenRules(
            settings.jwt_issuer,
            settings.jwt_audience,
            settings.jwt_skew_seconds,
            settings.jwt_account_claim,
            settings.jwt_group_claim,
            settings.jwt_tier_claim,
        )
    return Credentials(
        settings.accounts,
        settings.default_profile,
        settings.jwt_key_set,
        rules,
        settings.jwt_unlisted == "admit",
    )


def _policy(settings: InferenceSettings) -> Policy:
    return Policy(
        settings.failure_mode,
        settings.assess_timeout_seconds,
        settings.assess_patience_seconds,
        settings.reverse_timeout_seconds,
        settings.deadline_margin_seconds,
        settings.balanced_l1,
        settings.flagged_rows,
        settings.held_answers,
        settings.hold_seconds,
        settings.unassessed_rows,
    )


def _limits(settings: InferenceSettings) -> Limits:
    return Limits(
        settings.max_batch_rows,
        settings.queue_rows,
        settings.account_rows,
        settings.batches_in_flight,
    )


@contextmanager
def _open_decisions(
    settings: InferenceSettings, bundle: Bundle, metrics: InferenceMetrics
) -> Iterator[DecisionRecorder]:
    """The decision log; records that wait to be made or written are written at the end."""
    with ExitStack() as stack:
        write = write_to_stream
        if settings.decision_log_file is not None and settings.decision_log != "off":
            rotating = RotatingFile(
                settings.decision_log_file,
                settings.decision_log_max_bytes,
                settings.decision_log_kept,
            )
            file = DecisionFile(rotating, metrics.decisions_lost)
            stack.callback(file.close)
            write = file.offer
        kept_bytes = settings.decision_log_max_bytes * (settings.decision_log_kept + 1)
        by_span = kept_bytes * SPAN_SECONDS / (settings.decision_log_hours * 3600)
        shares = Shares(metrics.decisions_lost, int(by_span))
        share = settings.decision_log_sample
        log = DecisionLog(settings.decision_log, bundle, write, shares, share_of_preserved=share)
        if settings.decision_log == "off":
            yield log
            return
        late = LateRecorder(log)
        stack.callback(log.close)
        stack.callback(late.flush)
        yield late


def _dial(bundle: Bundle, clock: LoopClock, dialer: Dialer) -> Dial:
    def dial(target: str, service: str, cap: int, *, retries: bool) -> Peer:
        peer = Peer(target, service, cap, retries=retries, clock=clock.now, dialer=dialer)
        peer.inquiry = Inquiry(bundle.digest)
        return peer

    return dial


async def _open_perturbers(
    settings: InferenceSettings,
    bundle: Bundle,
    metrics: InferenceMetrics,
    dial: Dial,
    lasting: Lasting,
) -> Perturbers:
    """The perturbers behind the target, each with a channel of its own."""

    def open_replica(endpoint: str, retries: bool) -> Replica[PerturberClient]:
        peer = dial(endpoint, PERTURBER, settings.max_message_bytes, retries=retries)
        return Replica(peer, PerturberClient(peer, bundle.digest))

    parts = read_target(settings.perturber_target)
    replicas = Replicas(PERTURBER, parts, open_replica, settings.resolve_seconds, lasting)
    await replicas.start()
    return Perturbers(replicas, Agreement(metrics.secrets_mixed, metrics.secrets))


async def _open_sensitivity(
    settings: InferenceSettings, bundle: Bundle, metrics: InferenceMetrics, peers: _Peers
) -> tuple[Probed, Assessor]:
    """The sensitivity service as a peer, and the client of it.

    Replicas are routed to; at an address that never changes there is one.
    """

    def open_replica(endpoint: str, retries: bool) -> Replica[SensitivityClient]:
        cap = settings.max_message_bytes
        peer = peers.dial(endpoint, SENSITIVITY, cap, retries=retries)
        client = SensitivityClient(
            peer,
            bundle.digest,
            with_facts=settings.decision_log != "off",
            keeps_observed=settings.decision_log == "all",
            secrets=peers.secrets,
        )
        return Replica(peer, client)

    known, up = metrics.endpoints["known"], metrics.endpoints["up"]
    first, *others = parts = read_target(settings.sensitivity_target)
    if not (others or first.is_name):
        replica = open_replica(first.text, True)
        # As `Replicas` does: every log of a front door names the endpoints behind its target.
        logger("peer").info("endpoints", peer=SENSITIVITY, known=await first.resolve())
        known.set(1)
        up.set_function(lambda: replica.peer.is_up)
        return replica.peer, replica.client
    replicas = Replicas(SENSITIVITY, parts, open_replica, settings.resolve_seconds, peers.lasting)
    known.set_function(lambda: len(replicas.members))
    up.set_function(lambda: len(replicas.up))
    await replicas.start()
    return replicas, RoutedClient(replicas, metrics.failovers)

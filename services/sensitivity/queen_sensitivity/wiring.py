"""Builds the service: its store, engine, surveys and servicers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path

from queen.api.v1 import admin_pb2_grpc, sensitivity_pb2_grpc
from queen.bundle import open_bundle
from queen.errors import QueenError
from queen.method.crossing import Thresholds
from queen.method.packing import RegionProbes
from queen.serving.edge.terms import Terms
from queen.serving.health import Health
from queen.serving.metrics import Metrics
from queen.serving.ports.operators import Operators
from queen.serving.service_identity import identity_offer
from queen.serving.shell import Offer, Shell
from queen_sensitivity.admin.administration import Administration
from queen_sensitivity.admin.audit import Audit
from queen_sensitivity.admin.crossing_feed import CrossingFeed
from queen_sensitivity.admin.servicer import ADMIN, READING, AdminServicer
from queen_sensitivity.decode import Expected
from queen_sensitivity.engine.book import Limits
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.engine.wiring import Listeners, open_book
from queen_sensitivity.ledger_store import (
    LedgerStore,
    MemoryLedgerStore,
    RedisLedgerStore,
    StoreCondition,
    TimedStore,
    WatchedStore,
    is_url,
    open_redis_store,
    open_sqlite_store,
)
from queen_sensitivity.ledgers.ledger_memory import UnwrittenRecords
from queen_sensitivity.metrics import SensitivityMetrics
from queen_sensitivity.servicer import SENSITIVITY, Dispatcher, SensitivityServicer
from queen_sensitivity.settings import SensitivitySettings
from queen_sensitivity.store_watch import StoreWatch
from queen_sensitivity.survey.accounts import AccountReader
from queen_sensitivity.survey.loop import SurveyLoop
from queen_sensitivity.survey.metrics import SurveyMetrics
from queen_sensitivity.survey.surveyor import Surveyor

LATE_SECONDS = 0.5
"""Time between two looks for a Redis that did not answer at the start."""


@asynccontextmanager
async def open_service(
    settings: SensitivitySettings, shell: Shell
) -> AsyncIterator[Sequence[Offer]]:
    """Both servicers over one store; threads and store are closed after the drain."""
    bundle = open_bundle(settings.bundle)
    metrics = SensitivityMetrics(shell.metrics)
    feed = CrossingFeed(asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        opened = stack.enter_context(closing(open_store(settings)))
        if isinstance(opened, RedisLedgerStore) and not opened.await_open():
            shell.health.set_serving(SENSITIVITY, serving=False)
            opening = _serve_once_open(opened, shell.health)
            await stack.enter_async_context(shell.lasting.running("late ledger store", opening))
        condition = StoreCondition(metrics.store_up, metrics.store_has_room)
        plain = WatchedStore(opened, condition)
        engine = stack.enter_context(ThreadPoolExecutor(1, "engine"))
        working = stack.enter_context(ThreadPoolExecutor(1, "working"))
        probing = stack.enter_context(ThreadPoolExecutor(1, "probing"))
        store = TimedStore(plain, metrics.stages["load"], metrics.stages["append"])

        def announce(crossings: Sequence[Crossing]) -> None:
            metrics.count_crossings(crossings)
            feed.publish(crossings)

        unwritten = UnwrittenRecords(settings.unwritten_records, metrics.unwritten)
        listeners = Listeners(metrics.appends, metrics.repaired, unwritten, announce)
        book = open_book(
            Limits.of_bundle(bundle, settings.crossing, settings.charge),
            store,
            cached_accounts=settings.cached_accounts,
            search=settings.search,
            listeners=listeners,
        )
        dispatcher = Dispatcher(book, engine, metrics, settings.max_waiting)
        expected = Expected.of_bundle(bundle, settings.max_rows)
        servicer = SensitivityServicer(expected, dispatcher, metrics)
        # The engine's own thresholds belong to its thread.
        shown = Thresholds(bundle.geometry, bundle.mean_squared_sqs, settings.crossing)
        reader = AccountReader(bundle.geometry, shown, plain, bundle.meter)
        survey_metrics = SurveyMetrics(shell.metrics)
        probes = RegionProbes(bundle.geometry)
        surveyor = Surveyor(reader, bundle.geometry, shown.of_policy().thresholds, probes)
        surveys = SurveyLoop(
            surveyor.survey,
            settings.survey_seconds,
            threading.Event(),
            survey_metrics.show,
            survey_metrics.count,
        )
        audit = Audit(plain)

        def forget(account_id: str) -> None:
            dispatcher.forget(account_id)
            surveys.forget(account_id)

        administration = Administration(bundle.geometry, plain, audit, forget)
        admin = AdminServicer(bundle, reader, administration, audit, feed, surveys, working)
        stack.enter_context(surveys.running(shell.lasting.guarded))

        def probe() -> None:
            plain.probe()
            dispatcher.write_back()

        stack.callback(_ignoring_failures, dispatcher.write_back)
        watch = StoreWatch(probe, condition, shell.health, probing)
        await watch.look()
        following = watch.follow(settings.store_probe_seconds)
        await stack.enter_async_context(shell.lasting.running("store watch", following))
        offers = _offers(settings, servicer, admin, shell.metrics)
        yield [*offers, identity_offer(bundle.digest)]


async def _serve_once_open(store: RedisLedgerStore, health: Health) -> None:
    """Report readiness once a Redis that was late has answered; no end, as all lasting work."""
    while not await asyncio.to_thread(store.await_open):
        await asyncio.sleep(LATE_SECONDS)
    health.set_serving(SENSITIVITY, serving=True)
    await asyncio.Event().wait()


def _ignoring_failures(write_back: Callable[[], None]) -> None:
    # The condition has noted the failure: what is not written now is lost, as the setting says.
    with suppress(QueenError):
        write_back()


def open_store(settings: SensitivitySettings) -> LedgerStore:
    """The store that the settings name; ConfigError for one that cannot be opened."""
    if settings.state == "memory":
        return MemoryLedgerStore()
    if is_url(settings.state):
        return open_redis_store(settings.state, settings.redis_options, may_be_late=True)
    return open_sqlite_store(Path(settings.state), settings.sqlite_synchronous)


def _offers(
    settings: SensitivitySettings,
    servicer: SensitivityServicer,
    admin: AdminServicer,
    metrics: Metrics,
) -> Iterator[Offer]:
    """The service for the front door, and the one for operators if there are any."""
    add = sensitivity_pb2_grpc.add_SensitivityServiceServicer_to_server
    yield Offer(SENSITIVITY, partial(add, servicer))
    if settings.operators is not None:
        operators = Operators(settings.operators, READING, metrics)
        add_admin = admin_pb2_grpc.add_AdminServiceServicer_to_server
        # An operator may send much: policies of all accounts, and all their records.
        terms = Terms(operators.admit, fields=2**20, is_trusting=True)
        yield Offer(ADMIN, partial(add_admin, admin), on="admin", terms=terms)

"""Attempts on a deployment, and the judgement: what it must still do, hold and know after them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import grpc
import numpy as np

from queen.bundle import open_bundle
from tests.fuzz.live.attempts import Attempt, Attempts, known_attempts
from tests.fuzz.live.deployment import BYSTANDER, CARELESS, Deployed, Series
from tests.fuzz.live.raw_frames import break_framing, break_http
from tests.fuzz.methods import FORBIDDEN
from tests.fuzz.problems import Digests, Problem, write_finding
from tests.fuzz.targets.messages import INFER
from tests.integration.inference.door import raw_request
from tests.waiting import until

CALL_SECONDS = 60.0
"""Deadline of a call: one that meets it hangs."""
GOOD_SECONDS = 20.0
"""Deadline of the bystander's requests: generous, since other work may hold the machine."""
GROWTH_MIB = 64
"""Memory that a process may gain once a quarter of the attempts is over."""
PEAK_MIB = 160
"""Memory that a process may hold at the most, beyond what it held before."""
MOST_REFUSED = 0.02
"""Share of the bystander's requests that may be refused for want of room."""
WORKERS = 32
RAW_SHARE = 0.005
"""Connections with broken frames, beside the calls."""
_PAUSE_SECONDS = 0.05
_ENDLESS = ("Watch", "WatchCrossings")
_STREAMED = (*_ENDLESS, "ExportAccounts", "ServerReflectionInfo")
_OURS = ("inference.GRPCInferenceService", "queen.api.v1.AdminService")
"""Services that nobody but the fuzzer calls."""


@dataclass
class Tally:
    """The ends of the attempts, and of the requests beside them."""

    codes: Counter[str] = field(default_factory=Counter)
    sent: Counter[Series] = field(default_factory=Counter)
    problems: dict[str, Path | None] = field(default_factory=dict)
    good_seconds: list[float] = field(default_factory=list)
    refused: int = 0
    """Requests of the bystander that the services had no room for."""
    raw: int = 0
    memory: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def attempts(self) -> int:
        """Calls that have ended."""
        return self.codes.total()

    def as_json(self) -> dict[str, Any]:
        """The counts, with how long the bystander waited."""
        waited = np.sort(self.good_seconds) if self.good_seconds else np.zeros(1)
        return {
            "attempts": self.attempts,
            "broken_connections": self.raw,
            "codes": dict(sorted(self.codes.items())),
            "bystander": {
                "requests": len(self.good_seconds),
                "refused": self.refused,
                "p99_ms": round(1e3 * float(np.quantile(waited, 0.99)), 1),
                "slowest_ms": round(1e3 * float(waited[-1]), 1),
            },
            "memory_mib": self.memory,
            "problems": {kind: str(path) for kind, path in self.problems.items()},
        }


class LiveFuzz:
    """Sends attempts to a deployment from several workers, those of the corpus first.

    `out` gets what causes a problem.
    """

    def __init__(self, deployed: Deployed, seed: int, out: Path) -> None:
        self.tally = Tally()
        self._deployed = deployed
        self._random = Random(seed)
        self._attempts = Attempts(deployed.small, self._random)
        self._known = known_attempts(deployed.small)
        self._digests = Digests.of(open_bundle(deployed.small.path))
        self._out = out
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._left = 0
        self._ends = 0.0

    async def run(self, seconds: float, attempts: int) -> Tally:
        """Fuzz until the time is up or the attempts are made, and judge."""
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._channels = {
            port: grpc.aio.insecure_channel(address, options)
            for port, address in self._deployed.addresses.items()
        }
        answer = await self._good_answer()
        ledger = await asyncio.to_thread(self._deployed.ledger, BYSTANDER)
        self.tally.sent.clear()
        before, handled = self._deployed.memory(), self._deployed.handled()
        self.tally.memory["before"] = before
        self._left, self._ends = attempts, monotonic() + seconds
        bystander = asyncio.create_task(self._ask_in_earnest())
        warm = asyncio.create_task(self._note_memory(attempts // 4, seconds / 4))
        await asyncio.gather(*(self._work() for _ in range(WORKERS)), warm)
        self._left = 0
        await bystander
        await self._require_counted(handled)
        await self._break_frames(int(RAW_SHARE * self.tally.attempts))
        await self._judge(answer, ledger)
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        return self.tally

    async def send(self, attempt: Attempt) -> str:
        """The code with which a call ends."""
        method = attempt.path.rpartition("/")[2]
        compression = grpc.Compression.Gzip if attempt.is_compressed else None
        kind: dict[str, Any] = {"metadata": attempt.metadata, "compression": compression}
        channel = self._channels[attempt.port]
        try:
            if method not in _STREAMED:
                await channel.unary_unary(attempt.path)(attempt.data, timeout=CALL_SECONDS, **kind)
                return "OK"
            call = channel.unary_stream(attempt.path)(attempt.data, timeout=CALL_SECONDS, **kind)
            if method == "WatchCrossings":
                await call.initial_metadata()
            while method != "WatchCrossings" and await call.read() is not grpc.aio.EOF:
                if method == "Watch":
                    break
            if method in _ENDLESS and not call.done():
                call.cancel()
                return "CANCELLED"
            return str((await call.code()).name)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)

    async def _work(self) -> None:
        while self._left > 0 and monotonic() < self._ends:
            self._left -= 1
            attempt = self._known.pop() if self._known else self._attempts.draw()
            code = await self.send(attempt)
            self.tally.codes[code] += 1
            *_, service, method = attempt.path.split("/") if attempt.path.count("/") == 2 else "  "
            self.tally.sent[service, method, code] += 1
            if code in FORBIDDEN or code in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}:
                self._found(f"{code} from {attempt.path}", attempt)
            elif attempt.must_fail and code == "OK":
                self._found(f"answered: {attempt.path}", attempt)

    async def _good_answer(self, seconds: float = GOOD_SECONDS) -> bytes:
        """The answer to the bystander's request, which is the same each time."""
        request = raw_request(self._deployed.small.inputs[:8])
        call = self._channels["inference"].unary_unary(INFER)
        key = (("authorization", f"Bearer key-of-{BYSTANDER}"),)
        code = "OK"
        try:
            answer: bytes = await call(request.SerializeToString(), metadata=key, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            code = str(error.code().name)
            raise
        finally:
            self.tally.sent[_OURS[0], "ModelInfer", code] += 1
        return answer

    async def _ask_in_earnest(self) -> None:
        while self._left > 0 and monotonic() < self._ends:
            started = monotonic()
            try:
                await self._good_answer()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    self.tally.problems[f"a good request got {error.code().name}"] = None
                    return
                # The services may be full for a moment, and say so.
                self.tally.refused += 1
            self.tally.good_seconds.append(monotonic() - started)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _note_memory(self, attempts: int, seconds: float) -> None:
        ends = monotonic() + seconds
        while self.tally.attempts < attempts and monotonic() < ends:
            await asyncio.sleep(0.1)
        self.tally.memory["warm"] = self._deployed.memory()

    async def _require_counted(self, before: Counter[Series]) -> None:
        """The metrics count each call once, under the code that its caller got."""

        def missing() -> dict[str, int]:
            counted = self._deployed.handled()
            counted.subtract(before)
            off: dict[str, int] = {}
            for series in {*counted, *self.tally.sent}:
                service, method, code = series
                if service in _OURS and method not in _ENDLESS:
                    difference = counted[series] - self.tally.sent[series]
                    # A caller may have gone before its answer came.
                    if difference and code != "UNIMPLEMENTED":
                        off[f"{method} {code}"] = difference
            return off

        try:
            await until(lambda: not missing(), 10)
        except TimeoutError:
            self.tally.problems[f"uncounted: {missing()}"] = None

    async def _break_frames(self, connections: int) -> None:
        message = raw_request(self._deployed.small.inputs[:2]).SerializeToString()
        for _ in range(connections):
            address = self._random.choice(list(self._deployed.addresses.values()))
            await asyncio.to_thread(break_framing, address, message, self._random)
            process = self._random.choice(list(self._deployed.processes.values()))
            await asyncio.to_thread(break_http, process.addresses["metrics"], self._random)
            self.tally.raw += 2

    async def _judge(self, answer: bytes, ledger: bytes) -> None:
        problems = self.tally.problems
        gone = [name for name, it in self._deployed.processes.items() if not it.is_running]
        if gone:
            problems[f"crash: {', '.join(gone)} is gone"] = None
            return
        try:
            if await self._good_answer() != answer:
                problems["another answer to the bystander's query"] = None
        except grpc.aio.AioRpcError as error:
            problems[f"a good request got {error.code().name} at the end"] = None
        if await asyncio.to_thread(self._deployed.ledger, BYSTANDER) != ledger:
            problems["another ledger of the bystander"] = None
        if await asyncio.to_thread(self._deployed.ledger, CARELESS):
            problems["charged: a message that must be refused"] = None
        if self.tally.refused > max(1, MOST_REFUSED * len(self.tally.good_seconds)):
            problems[f"{self.tally.refused} good requests were refused"] = None
        self._judge_memory()
        self._judge_records()

    def _judge_records(self) -> None:
        """The metrics name no failure that callers caused, and each line of the logs is ours."""
        problems = self.tally.problems
        for (service, method, code), count in self._deployed.handled().items():
            if code in FORBIDDEN:
                problems[f"{code} {count} times in the metrics of {service}/{method}"] = None
        for line in self._deployed.logs().splitlines():
            if "Traceback" in line or not line.startswith("{"):
                problems[f"logged: {line[-200:]}"] = None

    def _judge_memory(self) -> None:
        after, most = self._deployed.memory(), self._deployed.memory("VmHWM")
        memory = self.tally.memory
        memory |= {"after": after, "most": most}
        for name, before in memory["before"].items():
            if after[name] > memory["warm"][name] + GROWTH_MIB:
                self.tally.problems[f"memory: {name} grew to {after[name]:.0f} MiB"] = None
            if most[name] > before + PEAK_MIB:
                self.tally.problems[f"memory: {name} held {most[name]:.0f} MiB"] = None

    def _found(self, what: str, attempt: Attempt) -> None:
        if what not in self.tally.problems:
            data = replace(attempt, data=self._digests.loosen(attempt.data)).to_json()
            self.tally.problems[what] = write_finding(self._out, "live", Problem(what), data)

"""Reads decision logs line by line, checks each line, and groups the records into chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from queen.bundle import Bundle
from queen.decision_line import DECISION, LEFT_OUT, LOGGER, OVER_BUDGET, UNASSESSED
from queen.printable import brief
from queen.replay.chunks import Chunk, Draft, Fail, Origin, brief_json, failing, text_of, whole_of
from queen.replay.report import Contradiction, ReplayReport

CHUNK_ROWS = 1 << 16
"""Queries that are computed at once."""


class LogReader:
    """Reads logs of one bundle, and counts their lines and records into `report`."""

    def __init__(self, bundle: Bundle, report: ReplayReport, *, skip_other_bundles: bool) -> None:
        self._digest = bundle.digest
        self._report = report
        self._skips_others = skip_other_bundles
        self._seen: dict[str, int] = {}
        self._owners: dict[str, dict[str, int]] = {"account": {}, "group": {}}
        self._draft = Draft(bundle.manifest.num_classes)

    @property
    def accounts(self) -> list[str]:
        """Hashes of the accounts that were read so far, by index."""
        return list(self._owners["account"])

    def chunks(self, logs: Sequence[Path]) -> Iterator[Chunk]:
        """The decisions of all logs, a chunk at a time; DecisionLogInvalid for a bad line."""
        for path in logs:
            file = self._report.add_file(path)
            with path.open("rb") as stream:
                for line_number, line in enumerate(stream, 1):
                    self._read(line, file, line_number)
                    if self._draft.count >= CHUNK_ROWS:
                        yield self._cut()
        if self._draft.count:
            yield self._cut()

    def _cut(self) -> Chunk:
        chunk = self._draft.close(self._report.files)
        self._draft = Draft(self._draft.num_classes)
        self._report.accounts = len(self._owners["account"])
        self._report.groups = len(self._owners["group"])
        return chunk

    def _read(self, line: bytes, file: int, line_number: int) -> None:
        fail = failing(self._report.files[file], line_number)
        try:
            entry = json.loads(line.decode())
        except (ValueError, RecursionError):
            if line.endswith(b"\n"):
                fail("a line of JSON", "something else")
            self._report.truncated.append(self._report.files[file])
            return
        if not isinstance(entry, dict):
            fail("an object", type(entry).__name__)
        if entry.get("logger") != LOGGER:
            self._report.other_lines += 1
            return
        try:
            self._read_record(entry, hash(line), file, line_number, fail)
        except KeyError as error:
            fail(f"a field {error}", "none")

    def _read_record(
        self, entry: dict[str, Any], content: int, file: int, line_number: int, fail: Fail
    ) -> None:
        kind = entry.get("msg")
        if kind not in (DECISION, UNASSESSED, LEFT_OUT):
            fail(f"'{DECISION}', '{UNASSESSED}' or '{LEFT_OUT}' in msg", brief_json(kind))
        if entry["bundle"] != self._digest:
            if not self._skips_others:
                fail(
                    f"records of bundle {self._digest[:12]}",
                    f"{brief(entry['bundle'], 12)} (name that bundle, or skip other bundles)",
                )
            self._report.other_bundles += 1
            return
        if self._is_repeated(text_of(entry, "request_id", fail), content, file, line_number):
            return
        rows = whole_of(entry, "rows", 2**32, fail)
        moment = text_of(entry, "ts", fail) if "ts" in entry else ""
        self._note_time(moment)
        if "failure_mode" in entry:
            self._report.failure_modes[text_of(entry, "failure_mode", fail)] += 1
        if "refused" in entry:
            self._report.refusals[text_of(entry, "refused", fail)] += 1
        if kind == LEFT_OUT:
            self._report.left_out_requests += whole_of(entry, "requests", 2**63, fail)
            self._report.left_out_rows += rows
            if entry[OVER_BUDGET]:
                self._report.refusals[OVER_BUDGET] += whole_of(entry, OVER_BUDGET, 2**63, fail)
            return
        if kind == UNASSESSED:
            self._report.unassessed_rows += rows
            return
        self._report.requests += 1
        self._report.rows += rows
        self._report.profiles[text_of(entry, "profile", fail)] += rows
        account = self._index("account", text_of(entry, "account_hash", fail))
        grouped = "group_budget" in entry
        group = self._index("group", text_of(entry, "group_hash", fail)) if grouped else -1
        self._draft.add(entry, rows, Origin(file, line_number, account, group, moment), fail)

    def _is_repeated(self, request_id: str, content: int, file: int, line_number: int) -> bool:
        """Whether the same record came before: rotated logs are easily given twice."""
        if request_id not in self._seen:
            self._seen[request_id] = content
            return False
        if self._seen[request_id] == content:
            self._report.duplicates += 1
            return True
        self._report.broken_chains += 1
        self._report.add(
            Contradiction(
                self._report.files[file], line_number, 0, "request_id", "one record", "a second one"
            )
        )
        return False

    def _index(self, kind: str, name: str) -> int:
        return self._owners[kind].setdefault(name, len(self._owners[kind]))

    def _note_time(self, moment: str) -> None:
        report = self._report
        report.first = min(filter(None, (report.first, moment)), default="")
        report.last = max(report.last, moment)

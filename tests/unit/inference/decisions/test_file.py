"""The file of decision records: no line is lost or split, and nothing waits for it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from queen_inference.decisions import file as decision_file
from queen_inference.decisions.file import DecisionFile
from queen_inference.decisions.log import DecisionRecord
from queen_inference.metrics import InferenceMetrics

from queen.serving.logs import rotating_file
from queen.serving.logs.rotating_file import RotatingFile
from tests.unit.inference.conftest import Counted


def record_of(
    number: int, harshest: str = "reverse", rows: int = 1, **about: Any
) -> DecisionRecord:
    """A record that can be told from others."""
    return DecisionRecord("decision", harshest, 1e9, rows, {"number": number, **about})


LOST = "queen_decision_log_dropped_total"


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, every one of them whole."""
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data
    return [json.loads(line) for line in data.splitlines()]


def test_every_record_is_a_line_in_order(tmp_path: Path, metrics: InferenceMetrics) -> None:
    """Closing writes what waits; a line has a time, the logger's name and the fields."""
    file = DecisionFile(RotatingFile(tmp_path / "log", 1 << 20, 3), metrics.decisions_lost)
    for number in range(500):
        file.offer(record_of(number))
    file.close()
    lines = lines_of(tmp_path / "log")
    assert [line["number"] for line in lines] == list(range(500))
    assert lines[0]["ts"] == "2001-09-09T01:46:40.000000Z"
    assert (lines[0]["logger"], lines[0]["msg"]) == ("decisions", "decision")


def test_rotation_splits_no_line_and_loses_none_of_the_kept(
    tmp_path: Path, metrics: InferenceMetrics
) -> None:
    """Files are moved on before they are too large; the oldest beyond `kept` go."""
    file = DecisionFile(RotatingFile(tmp_path / "log", 4096, 30), metrics.decisions_lost)
    for number in range(400):
        file.offer(record_of(number, filler="x" * (number % 97)))
    file.close()
    rotated = sorted(tmp_path.glob("log.[0-9]*"), key=lambda path: int(path.suffix[1:]))
    parts = [tmp_path / "log", *rotated]
    assert len(parts) > 5
    assert all(0 < path.stat().st_size <= 4096 for path in parts)
    numbers = [line["number"] for path in reversed(parts) for line in lines_of(path)]
    assert numbers == list(range(400))


class SlowFile(RotatingFile):
    """A file whose disk answers only when it is let."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 1 << 20, 3)
        self.let = threading.Event()

    def write(self, line: bytes) -> None:
        """Wait, then write."""
        assert self.let.wait(30)
        super().write(line)


def test_a_slow_disk_costs_records_of_preserve_first_and_all_are_counted(
    tmp_path: Path, metrics: InferenceMetrics, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits; what finds no room is counted by its harshest verdict, never silently."""
    monkeypatch.setattr(decision_file, "MOST_WAITING_ROWS", 40)
    slow = SlowFile(tmp_path / "log")
    file = DecisionFile(slow, metrics.decisions_lost)
    for number in range(30):
        file.offer(record_of(number, "preserve"))
    for number in range(30, 60):
        file.offer(record_of(number, "record"))
    slow.let.set()
    file.close()
    assert [line["number"] for line in lines_of(tmp_path / "log")] == [*range(20), *range(30, 50)]
    assert counted(LOST, decision="preserve") == 10
    assert counted(LOST, decision="record") == 10


def test_a_request_larger_than_the_bound_is_taken_by_an_idle_writer(
    tmp_path: Path, metrics: InferenceMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is on what waits, not on a request."""
    monkeypatch.setattr(decision_file, "MOST_WAITING_ROWS", 4)
    file = DecisionFile(RotatingFile(tmp_path / "log", 1 << 20, 3), metrics.decisions_lost)
    file.offer(record_of(0, rows=100))
    file.close()
    assert len(lines_of(tmp_path / "log")) == 1


def test_a_record_that_cannot_be_put_into_words_is_counted(
    tmp_path: Path, metrics: InferenceMetrics, counted: Counted
) -> None:
    """And those behind it are written."""
    file = DecisionFile(RotatingFile(tmp_path / "log", 1 << 20, 3), metrics.decisions_lost)
    file.offer(record_of(0, "record", strange=object()))
    file.offer(record_of(1))
    file.close()
    assert [line["number"] for line in lines_of(tmp_path / "log")] == [1]
    assert counted(LOST, decision="record") == 1


def test_a_full_disk_splits_no_line_and_is_counted(
    tmp_path: Path, metrics: InferenceMetrics, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part of a line that was written is removed, and the next one is whole again."""
    file = DecisionFile(RotatingFile(tmp_path / "log", 1 << 20, 3), metrics.decisions_lost)
    real: Callable[[int, Any], int] = os.write
    calls = []

    def write(descriptor: int, data: Any) -> int:
        calls.append(len(data))
        if len(calls) == 3:
            return real(descriptor, bytes(data)[:10])
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(rotating_file.os, "write", write)
    for number in range(5):
        file.offer(record_of(number))
    file.close()
    assert [line["number"] for line in lines_of(tmp_path / "log")] == [0, 1, 3, 4]
    assert counted(LOST, decision="reverse") == 1


def test_a_loss_is_logged_once_with_the_file_as_it_was_given(
    tmp_path: Path, metrics: InferenceMetrics, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records come at the rate of the traffic, and an operator searches for their own path."""

    def write(_descriptor: int, _data: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    with structlog.testing.capture_logs() as lines:
        file = DecisionFile(RotatingFile(Path("log"), 1 << 20, 3), metrics.decisions_lost)
        monkeypatch.setattr(rotating_file.os, "write", write)
        for number in range(5):
            file.offer(record_of(number))
        file.close()
    assert counted(LOST, decision="reverse") == 5
    (line,) = lines
    assert line == {
        "event": "decision records are lost",
        "log_level": "error",
        "logger": "decision_file",
        "file": "log",
        "problem": "No space left on device",
    }

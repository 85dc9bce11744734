"""Logs: one JSON object a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from queen import __version__, decision_line
from queen.serving.logging import RECORDS, account_hash

SCRIPT = """
import logging
from queen.serving.logging import configure_logging, logger
configure_logging("toy", "info")
log = logger("box")
log.debug("unseen")
log.info("opened", toys=3)
try:
    1 / 0
except ZeroDivisionError:
    log.error("failed", exc_info=True)
logging.getLogger("library").warning("its %s", "words")
logging.getLogger("library").info("unseen")
"""


def test_every_line_is_an_object_of_the_same_form() -> None:
    """Ours and those of libraries: service, version, time, level, logger and message."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    opened, failed, borrowed = (json.loads(line) for line in ran.stderr.splitlines())
    assert (opened["msg"], opened["toys"], opened["logger"]) == ("opened", 3, "box")
    assert failed["level"] == "error"
    assert "ZeroDivisionError" in failed["exception"]
    assert (borrowed["msg"], borrowed["logger"]) == ("its words", "library")
    for line in (opened, failed, borrowed):
        assert (line["service"], line["version"]) == ("toy", __version__)
        assert line["ts"].endswith("Z")


def test_an_account_has_the_same_name_in_every_process() -> None:
    """Two services write of one account, and neither writes its id."""
    assert account_hash("acme") == account_hash("acme") == "ba1b9b0308fdc5e9"
    assert account_hash("acme") != account_hash("acme2")


FLOOD = """
import asyncio, logging, sys, threading, warnings
from queen.serving.logging import configure_logging, dropped_lines, logger
configure_logging("toy", "info")
log = logger("rpc")
for _ in range(3000):
    try:
        raise ValueError("x" * 100_000)
    except ValueError:
        log.error("failed", exc_info=True)
        logging.getLogger("grpc._cython.cygrpc").exception("Exception in callback")

async def loop_errors():
    def broken():
        raise KeyError("callback")
    for _ in range(1000):
        asyncio.get_running_loop().call_soon(broken)
    await asyncio.sleep(0)

asyncio.run(loop_errors())
for _ in range(1000):
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
for _ in range(1000):
    logging.getLogger("library").warning("no %d", "number")
log.info("done", counts=dropped_lines())
"""


def test_a_flood_of_failures_writes_little_and_says_how_much_it_left_out() -> None:
    """A traceback of a kind comes once, not with every call; nothing is printed besides."""
    ran = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert len(ran.stderr) < 300_000
    kinds = sorted((line["logger"], line["error"]) for line in lines if "error" in line)
    assert set(kinds) == {
        *(("asyncio", "KeyError"), ("python", "ZeroDivisionError")),
        *(("grpc._cython.cygrpc", "ValueError"), ("rpc", "ValueError")),
    }
    assert sum("exception" in line for line in lines) == 4
    (done,) = (line for line in lines if line["msg"] == "done")
    assert done["counts"]["sampled"] > 5000
    assert max(len(line.get("exception", "")) for line in lines) < 10_000


def test_a_header_that_is_no_text_is_not_logged() -> None:
    """gRPC would repeat it, and it may hold all but a letter of a key."""
    script = """
import logging
from queen.serving.logging import configure_logging
configure_logging("toy", "info")
log = logging.getLogger("grpc._cython.cygrpc")
log.error("Invalid encoding on %s", b"Bearer key-of-alice\\xff")
log.error("another failure")
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [json.loads(line)["msg"] for line in ran.stderr.splitlines()] == ["another failure"]


def test_records_of_an_operator_are_written_whole() -> None:
    """Decision records and the audit are no noise."""
    assert set(RECORDS) == {decision_line.LOGGER, "audit"}
    script = """
from queen.serving.logging import configure_logging, logger
configure_logging("toy", "info")
for number in range(3000):
    logger("decisions").info("decision", number=number, long="y" * 5000)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert lines[0]["long"] == "y" * 5000
    written = [line["number"] for line in lines]
    assert written == sorted(written)


def test_a_full_disk_fails_no_call(tmp_path: Path) -> None:
    """A service whose log cannot be written goes on, and counts the lines."""
    script = f"""
import atexit, resource, signal
from pathlib import Path
from queen.serving.logging import configure_logging, dropped_lines, log_file_over, logger


@atexit.register
def count():
    # After the log has been closed.
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    Path({str(tmp_path / "count")!r}).write_text(str(dropped_lines()["failed"]))


configure_logging("toy", "info", log_file_over(Path({str(tmp_path / "log")!r}), 1 << 20, 3))
logger("box").info("opened")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
for number in range(60):
    logger("box").info("filled", toys="z" * 100)"""
    subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[0]["msg"] == "opened"
    assert len(lines) + int((tmp_path / "count").read_text()) == 61


def test_what_is_printed_follows_the_file(tmp_path: Path) -> None:
    """The last words of an interpreter that dies are in the log of its service."""
    script = f"""
import sys
from pathlib import Path
from queen.serving.logging import configure_logging, log_file_over, logger
configure_logging("toy", "info", log_file_over(Path({str(tmp_path / "log")!r}), 4096, 3))
for number in range(60):
    logger("box").info("filled", toys="z" * 100)
sys.exit("last words")
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    text = "".join(path.read_text() for path in tmp_path.glob("log*"))
    assert "last words" in text
    assert (tmp_path / "log.1").exists()

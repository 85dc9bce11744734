"""Logs: one JSON object a line."""

from __future__ import annotations

import json
import subprocess
import sys

from queen import __version__
from queen.serving.logging import account_hash

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

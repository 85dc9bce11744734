"""Small processes in place of services."""

from __future__ import annotations

import sys
from pathlib import Path

from queen.cli.up.child import Child

SERVING = """
import json, os, pathlib, signal, sys
def stop(*_):
    print("drained", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
draft = pathlib.Path(sys.argv[1] + ".draft")
draft.write_text(json.dumps({"address": "127.0.0.1:1", "pid": os.getpid()}))
draft.replace(sys.argv[1])
signal.pause()
"""
"""Says that it serves, and ends with 0 on SIGTERM."""
DEAF = SERVING.replace("signal.signal(signal.SIGTERM, stop)", "signal.signal(15, signal.SIG_IGN)")
"""Says that it serves, and does not stop."""
SILENT = "import signal; signal.pause()"
"""Never says that it serves."""
REFUSING = "import sys; sys.exit('queen toy: expected good settings, got bad') or 3"
"""Ends with a sentence."""


def child_of(folder: Path, script: str, name: str = "toy", **environment: str) -> Child:
    """A child that runs a script with the path of its ready file."""
    ready = folder / f"{name}.json"
    return Child(
        name=name,
        argv=lambda _ready: [sys.executable, "-S", "-c", script, str(ready)],
        log=folder / f"{name}.log",
        ready_file=ready,
        environment=environment,
    )

"""Starts the front door: `python -m queen_inference --bundle BUNDLE --accounts FILE`."""

from __future__ import annotations

import sys

import queen.serving.one_thread  # noqa: F401 - before anything that loads NumPy
from queen.serving.server import run_service
from queen_inference.settings import InferenceSettings
from queen_inference.wiring import open_service


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    return run_service("inference", InferenceSettings, open_service)


if __name__ == "__main__":
    sys.exit(main())

"""Starts the sensitivity service: `python -m queen_sensitivity --bundle BUNDLE --state FILE`."""

from __future__ import annotations

import queen.serving.one_thread  # noqa: F401 - before anything that loads NumPy
from queen.serving.server import run_service
from queen_sensitivity.settings import SensitivitySettings
from queen_sensitivity.wiring import open_service


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    return run_service("sensitivity", SensitivitySettings, open_service)


if __name__ == "__main__":
    raise SystemExit(main())

"""Starts the perturber: `python -m queen_perturber --bundle BUNDLE --secret-file FILE`."""

from __future__ import annotations

import queen.serving.one_thread  # noqa: F401 - before anything that loads NumPy
from queen.serving.server import run_service
from queen_perturber.settings import PerturberSettings
from queen_perturber.wiring import open_service


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    return run_service("perturber", PerturberSettings, open_service)


if __name__ == "__main__":
    raise SystemExit(main())

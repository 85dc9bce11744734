"""`python -m services.perturber --bundle BUNDLE --secret-file FILE`."""

from __future__ import annotations

import queen.serving.one_thread  # noqa: F401 - before anything that loads NumPy
from queen.serving.server import run_service

from .settings import PerturberSettings
from .wiring import wire


def main() -> int:
    """Serve until told to stop; the exit code."""
    return run_service("perturber", PerturberSettings, wire)


if __name__ == "__main__":
    raise SystemExit(main())

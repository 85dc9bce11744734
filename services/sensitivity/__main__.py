"""`python -m services.sensitivity --bundle BUNDLE --state FILE`."""

from __future__ import annotations

import queen.serving.one_thread  # noqa: F401 - before anything that loads NumPy
from queen.serving.server import run_service

from .settings import SensitivitySettings
from .wiring import wire


def main() -> int:
    """Serve until told to stop; the exit code."""
    return run_service("sensitivity", SensitivitySettings, wire)


if __name__ == "__main__":
    raise SystemExit(main())

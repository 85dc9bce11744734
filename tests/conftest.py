"""Fixtures that every test begins with."""

from __future__ import annotations

import pytest
import structlog


@pytest.fixture(scope="module", autouse=True)
def plain_logging() -> None:
    """Logs as structlog makes them: a program that an earlier module ran may have set a level."""
    structlog.reset_defaults()

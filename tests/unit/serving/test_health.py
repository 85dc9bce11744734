"""Health of the process and of its services."""

from __future__ import annotations

from queen.serving.health import PROCESS, Health


async def test_what_nobody_set_serves_from_the_beginning() -> None:
    """A service that depends on a peer sets its own state before; that stays."""
    health = Health()
    await health.set_serving("waiting", serving=False)
    assert not health.is_serving("ready")
    await health.begin(["ready", "waiting"])
    assert [health.is_serving(name) for name in (PROCESS, "ready", "waiting")] == [
        True,
        True,
        False,
    ]
    await health.set_serving("waiting", serving=True)
    assert health.is_serving("waiting")


async def test_nothing_serves_while_the_process_drains() -> None:
    """For good: a peer that comes back during the drain changes nothing."""
    health = Health()
    await health.begin(["ready"])
    await health.drain()
    assert health.is_draining
    await health.set_serving("ready", serving=True)
    assert not health.is_serving("ready")

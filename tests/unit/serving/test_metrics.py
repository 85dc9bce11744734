"""Metrics that every service has."""

from __future__ import annotations

from queen import __version__
from queen.serving.metrics import Metrics


def test_every_series_is_there_before_its_first_event() -> None:
    """An alert on a rate sees the first event, since the series began at 0."""
    metrics = Metrics()
    metrics.config_followed("accounts", lambda: 0.0)
    for result in ("success", "failure"):
        labels = {"file": "accounts", "result": result}
        assert metrics.registry.get_sample_value("config_load_total", labels) == 0
    build = metrics.registry.get_sample_value("queen_build_info", {"version": __version__})
    assert build == 1


def test_stages_and_labels_are_made_in_advance() -> None:
    """A service gets its series by name and only counts."""
    metrics = Metrics()
    stages = metrics.stages("decode", "encode")
    stages["decode"].observe(0.5)
    colors = metrics.labeled("toy_total", "Toys.", "color", ("red", "blue"))
    colors["red"].inc()
    value = metrics.registry.get_sample_value
    assert value("queen_stage_seconds_count", {"stage": "decode"}) == 1
    assert value("queen_stage_seconds_count", {"stage": "encode"}) == 0
    assert value("toy_total", {"color": "blue"}) == 0


def test_a_followed_file_has_loads_an_age_and_one_digest() -> None:
    """An operator sees that a file was refused, and which content is in force since when."""
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    metrics.config_followed("accounts", lambda: 7.0)
    metrics.config_loaded("accounts", ok=False)
    assert value("config_load_total", {"file": "accounts", "result": "failure"}) == 1
    assert value("queen_config_age_seconds", {"file": "accounts"}) == 7
    metrics.config_in_force("accounts", "ab12", "")
    metrics.config_in_force("accounts", "cd34", "ab12")
    assert value("queen_config_info", {"file": "accounts", "sha256": "cd34"}) == 1
    assert value("queen_config_info", {"file": "accounts", "sha256": "ab12"}) is None

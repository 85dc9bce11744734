"""Settings that contradict themselves are refused."""

from __future__ import annotations

import pytest

from queen.errors import ConfigError
from queen.serving.settings import load_settings
from services.inference.settings import InferenceSettings

BASE = ["--bundle", "b", "--accounts", "a.yaml"]


def test_clean_answers_need_two_settings() -> None:
    """failure-mode allow alone is refused; with its second setting it is taken."""
    with pytest.raises(ConfigError, match="allow-clean-answers"):
        load_settings(InferenceSettings, [*BASE, "--failure-mode", "allow"])
    flags = [*BASE, "--failure-mode", "allow", "--allow-clean-answers"]
    assert load_settings(InferenceSettings, flags).failure_mode == "allow"


def test_bounds_must_fit_into_one_another() -> None:
    """An account's bound below that of one request is refused."""
    with pytest.raises(ConfigError, match="max-request-rows <= account-rows"):
        load_settings(InferenceSettings, [*BASE, "--account-rows", "10"])


def test_the_default_mode_protects() -> None:
    """Without a word of the operator clean answers never leave."""
    settings = load_settings(InferenceSettings, BASE)
    assert (settings.failure_mode, settings.allow_clean_answers) == ("protect", False)

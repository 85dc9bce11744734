"""Settings that contradict themselves are refused."""

from __future__ import annotations

import pytest
from queen_inference.settings import InferenceSettings

from queen.errors import ConfigError
from queen.serving.settings_sources import load_settings

BASE = ["--bundle", "b", "--accounts", "a.yaml"]


def test_clean_answers_need_two_settings() -> None:
    """failure-mode allow alone is refused; with its second setting it is accepted."""
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


@pytest.mark.parametrize("l1", ["0", "2.1", "nan"])
def test_a_distance_that_is_none_is_refused(l1: str) -> None:
    """balanced_l1 lies above 0 and goes up to 2, beyond which no two answers are."""
    with pytest.raises(ConfigError, match=r"balanced.l1"):
        load_settings(InferenceSettings, [*BASE, "--balanced-l1", l1])
    assert load_settings(InferenceSettings, [*BASE, "--balanced-l1", "2"]).balanced_l1 == 2


@pytest.mark.parametrize("profile", ["paper", "safe", "balanced", "strict", "observe"])
def test_every_profile_can_be_the_default(profile: str) -> None:
    """What accounts may name, a service may take for those that name none."""
    settings = load_settings(InferenceSettings, [*BASE, "--default-profile", profile])
    assert settings.default_profile == profile


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "got an empty one"),
        ("127.0.0.1:1,", "got an empty entry"),
        ("127.0.0.1:1,127.0.0.1:1", "got 127.0.0.1:1 again"),
        ("127.0.0.1:1,dns:///a:1", "a target with another scheme stands alone"),
    ],
)
def test_a_target_that_is_none_is_refused_by_name(target: str, words: str) -> None:
    """Before anything starts, with the flag that held it."""
    with pytest.raises(ConfigError, match=f"--sensitivity-target.*{words}"):
        load_settings(InferenceSettings, [*BASE, "--sensitivity-target", target])


@pytest.mark.parametrize("target", ["xds:///sensitivity", "dns://10.0.0.53/sensitivity:8101"])
def test_replicas_among_which_grpc_chooses_are_refused(target: str) -> None:
    """Calls in turn would let an account stay below its budget for ever; the perturber has none."""
    with pytest.raises(
        ConfigError, match=r"--sensitivity-target.*a name that resolves to all, got"
    ):
        load_settings(InferenceSettings, [*BASE, "--sensitivity-target", target])
    flags = [*BASE, "--perturber-target", target]
    assert load_settings(InferenceSettings, flags).perturber_target == target


PEER_TLS = ["--peer-ca-file", "ca", "--peer-cert-file", "crt", "--peer-key-file", "key"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (PEER_TLS[2:4], "peer-cert-file and peer-key-file together"),
        (PEER_TLS[2:], "expected peer-ca-file with peer-cert-file"),
        ([*PEER_TLS, "--sensitivity-target", "a:1,b:1"], "expected sensitivity-name"),
    ],
)
def test_half_of_tls_is_refused(flags: list[str], words: str) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError, match=words):
        load_settings(InferenceSettings, [*BASE, *flags])


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (["--sensitivity-target", "dns:///queen-sensitivity:1"], "queen-sensitivity"),
        (["--sensitivity-target", "10.0.0.1:1,10.0.0.2:1"], ""),
        (["--sensitivity-target", "a:1,b:1", "--sensitivity-name", "queen"], "queen"),
    ],
)
def test_certificates_have_the_name_of_the_target(flags: list[str], name: str) -> None:
    """Replicas of one name share it, those of several addresses have each their own."""
    settings = load_settings(InferenceSettings, [*BASE, *PEER_TLS, *flags])
    assert settings.expected_sensitivity_name == name
    assert settings.expected_perturber_name == "127.0.0.1"

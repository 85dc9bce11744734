"""The deployment in one process answers as the three services do, to the bit."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from itertools import pairwise

import numpy as np
import pytest
import yaml

from queen.bundle import open_bundle
from queen.deployment import Deployment
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.oip_client import OipClient
from queen.redteam.targets.endpoint import EndpointTarget
from queen.redteam.targets.in_process import InProcessTarget, OperatorChoice, open_in_process
from queen.redteam.targets.protectee import open_protectee
from tests.bundles import SmallBundle, make_bundle

SECRET = hashlib.sha256(b"engine test").digest()
BUDGET = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> SmallBundle:
    """A small bundle whose regions a few hundred queries can spend."""
    return make_bundle(tmp_path_factory.mktemp("engine") / "bundle")


@pytest.fixture(scope="module")
def queries(bundle: SmallBundle) -> np.ndarray:
    """Six hundred queries, inside the regions and outside, some of them sent twice."""
    rng = np.random.default_rng(1)
    rows = bundle.inputs[rng.integers(0, len(bundle.inputs), 600)]
    noisy = rows + rng.normal(scale=0.5, size=rows.shape)
    noisy[500:] = noisy[:100]
    return noisy.astype(np.float32)


@pytest.fixture(scope="module")
def served(bundle: SmallBundle, queries: np.ndarray, tmp_path_factory) -> dict[Profile, np.ndarray]:
    """The answers of a real deployment, by profile, one account each."""
    state = tmp_path_factory.mktemp("engine-state")
    (state / "secret").write_bytes(SECRET)
    (state / "secret").chmod(0o600)
    accounts = [
        {
            "id": profile.value,
            "key_sha256": hashlib.sha256(f"key {profile}".encode()).hexdigest(),
            "profile": profile.value,
        }
        for profile in Profile
    ]
    (state / "accounts.yaml").write_text(yaml.safe_dump({"accounts": accounts}))
    deployment = Deployment(
        bundle=bundle.path, state=state, accounts=state / "accounts.yaml", budget=BUDGET
    )
    with deployment as running:
        return {profile: _send(running.endpoint, profile, queries) for profile in Profile}


def _send(endpoint: str, profile: Profile, queries: np.ndarray) -> np.ndarray:
    if profile is Profile.REFUSE:
        with EndpointTarget(endpoint, [f"key {profile}"]) as target:
            thief = target.open_account("thief")
            return np.concatenate([thief.ask(query[None]) for query in queries])
    with OipClient(endpoint, f"key {profile}") as client:
        model = client.describe("")
        bounds = np.cumsum([0, 1, 7, 92, 200, 300])
        parts = [client.infer(model, queries[a:b]) for a, b in pairwise(bounds)]
    return np.concatenate(parts)


def _target(
    small: SmallBundle, profile: Profile, budget: int = BUDGET, *, grouped: bool = False
) -> AbstractContextManager[InProcessTarget]:
    bundle = open_bundle(small.path)
    choice = OperatorChoice(profile, budget, SECRET, grouped=grouped)
    return open_in_process(bundle, choice, open_protectee(bundle))


@pytest.mark.parametrize("profile", list(Profile))
def test_the_engine_answers_as_the_services_do(
    bundle: SmallBundle,
    queries: np.ndarray,
    served: dict[Profile, np.ndarray],
    profile: Profile,
):
    """The same bundle, secret, profile and budget give the same bytes, reversals included.

    So do refusals, of queries that are asked one by one.
    """
    with _target(bundle, profile) as target:
        answers = target.open_account(profile.value).ask(queries)
        assert target.traffic.is_reversed is not None
        assert 0 < target.traffic.is_reversed.sum() < len(queries)
    assert answers.tobytes() == served[profile].tobytes()


def test_the_record_is_the_evaluators(bundle: SmallBundle, queries: np.ndarray):
    """Answers, the protectee's own and the verdicts are kept in order and by account."""
    with _target(bundle, Profile.PAPER) as target:
        first = target.open_account("a").ask(queries[:300])
        second = target.open_account("b").ask(queries[300:310])
        traffic = target.traffic
    assert np.array_equal(traffic.answers, np.concatenate([first, second]))
    assert np.array_equal(traffic.of("b").answers, second)
    assert traffic.own is not None
    np.testing.assert_allclose(
        traffic.own.argmax(axis=1), bundle.model.logits(queries[:310]).argmax(axis=1)
    )
    flags = traffic.of("b").is_reversed
    assert flags is not None
    assert not flags.any()


def test_a_name_is_an_account(bundle: SmallBundle, queries: np.ndarray):
    """Opening an account again goes on with its ledger; another name starts afresh."""
    with _target(bundle, Profile.PAPER) as target:
        target.open_account("a").ask(queries[:400])
        target.open_account("a").ask(queries[400:500])
        target.open_account("b").ask(queries[400:500])
        spent, fresh = target.traffic.exchanges[-2:]
    assert spent.is_reversed is not None
    assert fresh.is_reversed is not None
    assert spent.is_reversed.sum() > fresh.is_reversed.sum()


@pytest.mark.parametrize("grouped", [False, True])
def test_accounts_of_a_group_are_charged_together(
    bundle: SmallBundle, queries: np.ndarray, grouped: bool
):
    """An account feels the queries of another if both are in a group, and only then."""
    with _target(bundle, Profile.PAPER, grouped=grouped) as target:
        target.open_account("a").ask(queries[:400])
        target.open_account("b").ask(queries[400:420])
        flags = target.traffic.of("b").is_reversed
    assert flags is not None
    assert flags.any() == grouped


def test_no_queries_are_no_answers(bundle: SmallBundle, queries: np.ndarray):
    """An empty batch gives an empty answer and leaves no record."""
    with _target(bundle, Profile.PAPER) as target:
        assert target.open_account("a").ask(queries[:0]).shape == (0, 4)
        assert target.traffic.queries == 0


def test_a_budget_above_the_packing_limit_is_refused(bundle: SmallBundle):
    """The engine fails as the services do, and leaves nothing open."""
    with (
        pytest.raises(ConfigError),
        _target(bundle, Profile.PAPER, budget=10**6),
    ):
        pass

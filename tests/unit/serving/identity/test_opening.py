"""The keyring of a service, over files that change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from queen.errors import ConfigError, PermissionDenied, Unauthenticated
from queen.method.contracts import Profile
from queen.method.crossing import CrossingPolicy
from queen.serving.accounts import AccountsFile
from queen.serving.auth import Account, Keyring, key_digest
from queen.serving.identity.opening import Credentials, followed_keyring
from queen.serving.identity.tokens import TokenRules
from queen.serving.lasting import followed
from queen.serving.lasting.tasks import Lasting
from queen.serving.metrics import Metrics
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    private_key,
    public_jwk,
    token,
    write_key_set,
)

ONE, TWO = key_digest("one"), key_digest("two")
FAR = 4_000_000_000
TIERS = "tiers: [{id: gold, profile: safe, budget: 300}, {id: free, budget: 9}]\n"
GROUPS = "groups: [{id: acme, budget: 500}]\n"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "LOOK_SECONDS", 0.001)


def bearer(key: str) -> list[tuple[str, str | bytes]]:
    """Metadata with a credential."""
    return [("authorization", f"Bearer {key}")]


def write(folder: Path, text: str) -> Path:
    """An accounts file."""
    file = folder / "accounts.yaml"
    file.write_text(text)
    return file


class Opened:
    """A keyring with what supervises it."""

    def __init__(self, keyring: Keyring, metrics: Metrics, lasting: Lasting) -> None:
        self.keyring, self.metrics, self.lasting = keyring, metrics, lasting

    def account(self, **claims: object) -> Account:
        """The account of a token."""
        return self.keyring.authenticate(bearer(token(exp=FAR, **claims)))

    def failures(self) -> float:
        """Contents that were refused."""
        labels = {"file": "accounts", "result": "failure"}
        return self.metrics.registry.get_sample_value("config_load_total", labels) or 0.0


@asynccontextmanager
async def opened(chosen: Credentials) -> AsyncIterator[Opened]:
    """A keyring that follows its files."""
    metrics, lasting = Metrics(), Lasting()
    async with asyncio.timeout(20), followed_keyring(chosen, metrics, lasting) as keyring:
        yield Opened(keyring, metrics, lasting)


def plain(folder: Path, text: str) -> Credentials:
    """Keys alone."""
    return Credentials(write(folder, text), Profile.STRICT)


def with_tokens(folder: Path, text: str, *, admits_unlisted: bool = False) -> Credentials:
    """Tokens, too."""
    private_key("rsa")
    return replace(
        plain(folder, text),
        key_set=write_key_set(folder / "jwks.json", public_jwk("rsa", "rsa")),
        rules=TokenRules(ISSUER, AUDIENCE, group_claim="org", tier_claim="plan"),
        admits_unlisted=admits_unlisted,
    )


@pytest.mark.parametrize(
    "slip", ["accounts: [{id: 2025-02-30}]", "accounts: !!timestamp 2025-02-30"]
)
async def test_a_slip_in_the_file_ends_no_watch(tmp_path: Path, slip: str) -> None:
    """A key that is removed afterwards no longer works: a bad day once ended the watcher."""
    chosen = plain(tmp_path, f"accounts: [{{id: a, key_sha256: {ONE}}}]")
    async with opened(chosen) as served:
        write(tmp_path, slip)
        while not served.failures():
            await asyncio.sleep(0.001)
        assert served.keyring.authenticate(bearer("one")).account_id == "a"
        write(tmp_path, f"accounts: [{{id: a, key_sha256: {TWO}}}]")
        while _knows(served, "one"):
            await asyncio.sleep(0.001)
        assert _knows(served, "two")
        assert served.lasting.dead == ""


def _knows(served: Opened, key: str) -> bool:
    try:
        served.keyring.authenticate(bearer(key))
    except Unauthenticated:
        return False
    return True


async def test_a_file_behind_a_link_is_followed(tmp_path: Path) -> None:
    """The folder of the link reports no change."""
    (tmp_path / "real").mkdir()
    real = write(tmp_path / "real", f"accounts: [{{id: a, key_sha256: {ONE}}}]")
    link = tmp_path / "accounts.yaml"
    link.symlink_to(real)
    async with opened(Credentials(link, Profile.STRICT)) as served:
        write(tmp_path / "real", f"accounts: [{{id: a, key_sha256: {TWO}}}]")
        while _knows(served, "one"):
            await asyncio.sleep(0.001)
        assert _knows(served, "two")


async def test_accounts_that_cannot_be_served_are_refused(tmp_path: Path) -> None:
    """At the start: nothing serves then."""

    def check(_accounts: AccountsFile) -> None:
        raise ConfigError("no room")

    chosen = plain(tmp_path, "accounts: []")
    with pytest.raises(ConfigError, match="no room"):
        async with followed_keyring(chosen, Metrics(), Lasting(), check):
            pass


async def test_a_listed_subject_has_its_entry_and_its_claims(tmp_path: Path) -> None:
    """The claims decide what the entry does not state."""
    text = TIERS + GROUPS + "accounts:\n- {id: a, subject: alice}\n"
    text += "- {id: b, subject: bob, group: own, tier: free, profile: paper}\n"
    async with opened(with_tokens(tmp_path, text)) as served:
        alice = served.account(org="acme", plan="gold")
        assert (alice.account_id, alice.profile, alice.crossing, alice.group) == (
            *("a", Profile.SAFE),
            *(CrossingPolicy(300), "acme"),
        )
        assert alice.group_crossing == CrossingPolicy(500)
        bob = served.account(sub="bob", org="acme", plan="gold")
        assert (bob.account_id, bob.profile, bob.crossing, bob.group) == (
            *("b", Profile.PAPER),
            *(CrossingPolicy(9), "own"),
        )


async def test_an_unlisted_subject_is_refused_by_default(tmp_path: Path) -> None:
    """However good its token is."""
    async with opened(with_tokens(tmp_path, "accounts: []")) as served:
        with pytest.raises(PermissionDenied) as caught:
            served.account(sub="stranger")
        assert caught.value.reason == "SUBJECT_UNLISTED"
        assert "stranger" not in str(caught.value)


async def test_an_unlisted_subject_may_be_an_account(tmp_path: Path) -> None:
    """Where a setting says so: under the default policy, or that of the tier it claims."""
    text = TIERS + f"accounts: [{{id: taken, key_sha256: {ONE}}}]"
    async with opened(with_tokens(tmp_path, text, admits_unlisted=True)) as served:
        plain_account = served.account(sub="new")
        assert (plain_account.account_id, plain_account.profile) == ("new", Profile.STRICT)
        assert served.account(sub="new", plan="gold").profile is Profile.SAFE
        reasons = {}
        for name, claims in {
            "of another credential": {"sub": "taken"},
            "with a space": {"sub": "a b"},
            "with an unknown tier": {"sub": "new", "plan": "platinum"},
            "with a group of two lines": {"sub": "new", "org": "a\nb"},
        }.items():
            with pytest.raises(PermissionDenied) as caught:
                served.account(**claims)
            reasons[name] = caught.value.reason
        assert list(reasons.values()) == [
            *("SUBJECT_REFUSED", "SUBJECT_REFUSED"),
            *("TIER_UNKNOWN", "GROUP_REFUSED"),
        ]


async def test_a_key_works_beside_tokens(tmp_path: Path) -> None:
    """And a text of the form of a token, which is none, is told so."""
    text = f"accounts: [{{id: a, key_sha256: {ONE}}}]"
    async with opened(with_tokens(tmp_path, text)) as served:
        assert served.keyring.authenticate(bearer("one")).account_id == "a"
        for credential, reason in (("a.b.c", "TOKEN_MALFORMED"), ("three", "CREDENTIAL_UNKNOWN")):
            with pytest.raises(Unauthenticated) as caught:
                served.keyring.authenticate(bearer(credential))
            assert caught.value.reason == reason


async def test_groups_that_look_alike_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many, and no name of one: `queen check` names them."""
    text = f"accounts: [{{id: a, key_sha256: {ONE}, group: acme}}, "
    text += f"{{id: b, key_sha256: {TWO}, group: 'ACME '}}]"
    async with opened(plain(tmp_path, text)):
        said = capsys.readouterr()
    assert "look alike" in said.out + said.err
    assert "ACME" not in said.out + said.err

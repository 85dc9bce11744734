"""The operators of the admin API, by their keys and by their certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.metrics import Metrics
from queen.serving.ports.operators import Operators, operator_digest, read_operators
from tests.certificates import LOOPBACK, Authority
from tests.unit.serving.ports.admission import admitting, outcome

READING = {"Look"}
CONTENT = f"""
operators:
  - {{name: ana, role: act, key_sha256: {operator_digest("key-of-ana")}}}
  - {{name: dashboard, role: read, key_sha256: {operator_digest("key-of-dashboard")}}}
  - {{name: bo, role: act, san: "spiffe://queen/bo"}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two operators with keys and one with a certificate."""
    path = tmp_path / "operators.yaml"
    path.write_text(CONTENT)
    return path


@pytest.mark.parametrize(
    ("method", "key", "expected"),
    [
        ("Look", "", ("UNAUTHENTICATED", "CREDENTIAL_MISSING")),
        ("Look", "Basic key-of-ana", ("UNAUTHENTICATED", "CREDENTIAL_MISSING")),
        ("Look", "Bearer another", ("UNAUTHENTICATED", "CREDENTIAL_UNKNOWN")),
        ("Look", "bearer key-of-dashboard", ("OK", "dashboard")),
        ("Reset", "Bearer key-of-dashboard", ("PERMISSION_DENIED", "ROLE_TOO_SMALL")),
        ("Reset", "Bearer key-of-ana", ("OK", "ana")),
    ],
)
async def test_a_call_needs_a_key_whose_role_is_large_enough(
    file: Path, method: str, key: str, expected: tuple[str, str]
) -> None:
    """Each refusal has its reason, and whoever is admitted is known by name."""
    async with admitting(Operators(file, READING, Metrics()).admit, method=method) as target:
        assert await outcome(target, key=key) == expected


async def test_a_certificate_is_a_credential_too(file: Path, authority: Authority) -> None:
    """By a name in it; a wrong key beside it is refused all the same."""
    mine = authority.issue("server", *LOOPBACK)
    operator = authority.issue("operator", "URI:spiffe://queen/bo")
    other = authority.issue("stranger", "URI:spiffe://queen/bob")
    async with admitting(Operators(file, READING, Metrics()).admit, mine, "Reset") as target:
        assert await outcome(target, operator) == ("OK", "bo")
        assert await outcome(target, other) == ("UNAUTHENTICATED", "CREDENTIAL_MISSING")
        assert await outcome(target, operator, "Bearer x") == (
            "UNAUTHENTICATED",
            "CREDENTIAL_UNKNOWN",
        )


async def test_an_operator_who_is_removed_is_out_at_the_next_call(file: Path) -> None:
    """Without a restart, and a file that cannot be read removes nobody."""
    async with admitting(Operators(file, READING, Metrics()).admit, method="Look") as target:
        assert (await outcome(target, key="Bearer key-of-ana"))[0] == "OK"
        file.write_text("operators: 3")
        assert (await outcome(target, key="Bearer key-of-ana"))[0] == "OK"
        file.write_text("operators: []")
        assert (await outcome(target, key="Bearer key-of-ana"))[0] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("operators: [{name: a, role: act}]", "expected key_sha256, san or both, got none"),
        ("operators: [{name: a, role: all, san: b}]", "operators, 1, role: .*'read' or 'act'"),
        ("operators: [{name: '', role: act, san: b}]", "operators, 1, name"),
        ("accounts: []", "expected 'operators:"),
        (
            "operators: [{name: a, role: act, san: b}, {name: c, role: act, san: b}]",
            "expected each san once",
        ),
    ],
)
def test_a_file_that_is_wrong_is_a_sentence(tmp_path: Path, content: str, words: str) -> None:
    """It names the file, and no value of it."""
    file = tmp_path / "operators.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=rf"operators\.yaml: .*{words}"):
        read_operators(file)

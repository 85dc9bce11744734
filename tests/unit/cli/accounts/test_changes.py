import getpass

import click
import pytest
from click.testing import CliRunner

from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.changes import mandate_options
from queen.operators import Mandate
from tests.unit.cli.accounts.admin_port import run

BY_ANA = ("--actor", "ana", "--reason", "ticket 7")
FIELDS = {"account_id": "acme", "actor": "ana", "reason": "ticket 7"}


def test_a_reset_says_how_many_records_there_were(port):
    """The request names the operator and the reason."""
    ran = run(port, "reset", "acme", *BY_ANA)
    assert ran.exit_code == 0, ran.output
    assert "'acme' starts anew; it had 3 records" in ran.stderr
    assert port.requests == [pb.ResetAccountRequest(**FIELDS)]


def test_a_deletion_asks_first(port):
    """Without confirmation nothing is sent; --yes asks nothing."""
    refused = run(port, "delete", "acme", *BY_ANA)
    assert refused.exit_code == 1
    assert port.requests == []
    ran = run(port, "delete", "acme", *BY_ANA, "--yes")
    assert "4 records under 2 geometries" in ran.stderr
    assert port.requests == [pb.DeleteAccountRequest(**FIELDS)]


def test_no_id_is_obeyed_by_the_terminal(port):
    """The answer spells it out; the request holds it as it is."""
    ran = run(port, "delete", "a\x1b[2J", *BY_ANA, "--yes")
    assert r"'a\x1b[2J' is erased" in ran.stderr
    assert "\x1b" not in ran.output
    assert port.requests[0].account_id == "a\x1b[2J"


@pytest.mark.parametrize(("words", "line"), [((), "exempt: true"), (("--end",), "exempt: false")])
def test_an_exemption_prints_its_line_for_the_accounts_file(port, words, line):
    """The line alone is on stdout, since the file decides."""
    ran = run(port, "exempt", "acme", *BY_ANA, *words)
    assert ran.stdout == f"{line}\n"
    assert "in the audit; 'acme' has 5 records" in ran.stderr
    assert port.requests == [pb.AuditExemptionRequest(exempt=not words, **FIELDS)]


@pytest.mark.parametrize("change", ["reset", "delete", "exempt"])
def test_a_change_needs_a_reason(port, change):
    """The audit keeps it."""
    ran = run(port, change, "acme")
    assert ran.exit_code == 2
    assert "--reason" in ran.stderr
    assert port.requests == []


def test_the_audit_is_a_table(port):
    """Every page of it."""
    ran = run(port, "audit")
    assert "2 entries" in ran.stdout
    assert "ticket 0" in ran.stdout
    assert "ticket 1" in ran.stdout


@click.command()
@mandate_options
def show_mandate(mandate: Mandate) -> None:
    """Print the mandate."""
    click.echo(f"{mandate.actor!r} {mandate.reason!r}")


def test_the_actor_is_the_systems_user_if_none_is_named(monkeypatch):
    """A system without a name for the user has an empty actor, which the service refuses."""
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    assert CliRunner().invoke(show_mandate, ["--reason", "r"]).output == "'ana' 'r'\n"

    def fail() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", fail)
    assert CliRunner().invoke(show_mandate, ["--reason", "r"]).output == "'' 'r'\n"


@pytest.mark.parametrize("words", [[], ["--actor", "bo"]])
def test_a_reason_is_required(words):
    """An actor alone is no mandate."""
    ran = CliRunner().invoke(show_mandate, words)
    assert ran.exit_code == 2
    assert "--reason" in ran.stderr

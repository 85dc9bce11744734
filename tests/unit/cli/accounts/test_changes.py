import pytest

from queen.api.v1 import admin_pb2 as pb
from tests.unit.cli.accounts.admin_port import run

BECAUSE = ("--reason", "ticket 7")
FIELDS = {"account_id": "acme", "reason": "ticket 7"}


def test_a_reset_says_how_many_records_there_were(port):
    """The request has the reason."""
    ran = run(port, "reset", "acme", *BECAUSE)
    assert ran.exit_code == 0, ran.output
    assert "'acme' starts anew; it had 3 records" in ran.stderr
    assert port.requests == [pb.ResetAccountRequest(**FIELDS)]


def test_a_deletion_asks_first(port):
    """Without confirmation nothing is sent; --yes asks nothing."""
    refused = run(port, "delete", "acme", *BECAUSE)
    assert refused.exit_code == 1
    assert port.requests == []
    ran = run(port, "delete", "acme", *BECAUSE, "--yes")
    assert "4 records under 2 geometries" in ran.stderr
    assert port.requests == [pb.DeleteAccountRequest(**FIELDS)]


def test_no_id_is_obeyed_by_the_terminal(port):
    """The answer spells it out; the request holds it as it is."""
    ran = run(port, "delete", "a\x1b[2J", *BECAUSE, "--yes")
    assert r"'a\x1b[2J' is erased" in ran.stderr
    assert "\x1b" not in ran.output
    assert port.requests[0].account_id == "a\x1b[2J"


@pytest.mark.parametrize(("words", "line"), [((), "exempt: true"), (("--end",), "exempt: false")])
def test_an_exemption_prints_its_line_for_the_accounts_file(port, words, line):
    """The line alone is on stdout, since the file decides."""
    ran = run(port, "exempt", "acme", *BECAUSE, *words)
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

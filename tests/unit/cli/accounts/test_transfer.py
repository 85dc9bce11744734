import pytest

from queen.api.v1 import admin_pb2 as pb
from tests.unit.cli.accounts.admin_port import run

REASON = ("--reason", "moved")


def test_an_export_is_private_and_can_be_imported(port, tmp_path):
    """Also where a readable file was; both directions go through one file, a line an account."""
    file = tmp_path / "out.jsonl"
    file.touch(mode=0o644)
    ran = run(port, "export", str(file))
    assert "2 accounts are in" in ran.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text().splitlines()) == 2
    ran = run(port, "import", str(file), *REASON)
    assert "2 accounts: 2 records added, 0 covered by others" in ran.stderr
    imported = [
        request for request in port.requests if isinstance(request, pb.ImportAccountsRequest)
    ]
    assert [request.account.account_id for request in imported] == ["acme", "batch"]


def test_an_export_of_some_accounts_names_them(port, tmp_path):
    """The option is repeated."""
    run(port, "export", str(tmp_path / "out"), "--account", "a", "--account", "b")
    assert port.requests == [pb.ExportAccountsRequest(account_ids=["a", "b"])]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b'{"accountId": "a"}\nnot json\n', "line 2: expected an account"), (b"\xff", "UTF-8")],
)
def test_a_file_that_is_no_export_is_refused(port, tmp_path, content, words):
    """The refusal names the file, and nothing is sent."""
    file = tmp_path / "strange.jsonl"
    file.write_bytes(content)
    ran = run(port, "import", str(file), *REASON)
    assert ran.exit_code == 1
    assert words in " ".join(ran.stderr.split())
    assert str(file) in ran.stderr.replace("\n", "")
    assert port.requests == []

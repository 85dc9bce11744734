"""Changes through the admin API, by gRPC and by `queen accounts`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from click.testing import CliRunner
from google.protobuf import json_format

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc, sensitivity_pb2
from queen.cli.accounts.command import command
from queen.method.ledger import Verdict
from queen.serving.logging import account_hash
from tests.bundles import SmallBundle
from tests.integration.refusals import reason_of, violated_field
from tests.integration.sensitivity.calls import (
    Service,
    get_records,
    request_of,
)
from tests.operators import ANA, DASHBOARD, as_operator, write_key

WHO = {"reason": "ticket 7"}


def ask(service: Service, small: SmallBundle, name: str, **policy: object) -> list[int]:
    """Verdicts on 400 queries of one account, which spend its budget."""
    verdicts: list[int] = []
    account = sensitivity_pb2.AccountPolicy(account_id=name, **policy)  # type: ignore[arg-type]
    for start in range(0, 400, 50):
        request = request_of(small, np.arange(start, start + 50), (name,), accounts=[account])
        verdicts += service.sensitivity.Assess(request, timeout=30).verdicts
    return verdicts


def exported(service: Service, name: str) -> pb.AccountRecords:
    """The records of an account."""
    (answer,) = service.admin.ExportAccounts(pb.ExportAccountsRequest(account_ids=[name]))
    return answer.account


def test_a_reset_account_has_its_budget_back_at_once(small: SmallBundle, service: Service) -> None:
    """The replica that was called knows at once; the verdicts are those of a new account."""
    first = ask(service, small, "again")
    assert Verdict.REVERSE in first
    answer = service.admin.ResetAccount(pb.ResetAccountRequest(account_id="again", **WHO))
    assert answer.records_before == first.count(Verdict.RECORD)
    assert get_records(service, "again") == {}
    assert ask(service, small, "again") == first


def test_a_deleted_account_is_gone_from_every_list(small: SmallBundle, service: Service) -> None:
    """Its group stays, and can be deleted by its own name."""
    ask(service, small, "leaver", group="g")
    for name in ("leaver", "group g"):
        answer = service.admin.DeleteAccount(pb.DeleteAccountRequest(account_id=name, **WHO))
        assert answer.records_before > 0
        assert answer.geometries == 1
        assert get_records(service, name) == {}
    listed = service.admin.ListAccounts(pb.ListAccountsRequest(page_size=1000)).accounts
    assert not {"leaver", "group g"} & {account.account_id for account in listed}


def test_an_exempt_account_is_counted_and_not_reversed(
    small: SmallBundle, service: Service
) -> None:
    """Its records are those of any account."""
    plain, spared = ask(service, small, "plain"), ask(service, small, "spared", exempt=True)
    assert Verdict.REVERSE in plain
    assert Verdict.REVERSE not in spared
    assert spared.count(Verdict.RECORD) == plain.count(Verdict.RECORD)


def test_an_export_is_imported_under_another_name(small: SmallBundle, service: Service) -> None:
    """Records arrive bit for bit, and a second import finds all of them covered."""
    ask(service, small, "source")
    account = exported(service, "source")
    count = sum(len(kept) for kept in get_records(service, "source").values())
    account.account_id = "target"
    for added, covered in ((count, 0), (0, count)):
        request = pb.ImportAccountsRequest(account=account, **WHO)
        answer = service.admin.ImportAccounts(iter([request]))
        assert (answer.records_added, answer.records_covered) == (added, covered)
    source, target = get_records(service, "source"), get_records(service, "target")
    assert {label: kept.tobytes() for label, kept in source.items()} == {
        label: kept.tobytes() for label, kept in target.items()
    }


def test_one_wrong_account_in_an_import_leaves_every_ledger(
    small: SmallBundle, service: Service
) -> None:
    """All of a stream is checked before any of it is written; the refusal says what is wrong."""
    ask(service, small, "sound")
    good = exported(service, "sound")
    good.account_id = "newcomer"
    label = good.classes[0].label
    far = np.full((1, 2), 1e6, "<f4").tobytes()
    wrong = {
        "account.geometry_digest": {"geometry_digest": "ab" * 32},
        "account.account_id": {"account_id": ""},
        "account.classes": {"classes": [pb.ClassRecords(label=99)]},
        "account.marks": {"marks": [float("nan")]},
        "account.classes.embeddings": {"classes": [pb.ClassRecords(label=label, embeddings=far)]},
    }
    for field, change in wrong.items():
        base = {"account_id": "bad", "geometry_digest": good.geometry_digest}
        bad = pb.AccountRecords(**{**base, **change})  # type: ignore[arg-type]
        stream = [pb.ImportAccountsRequest(account=account, **WHO) for account in (good, bad)]
        with pytest.raises(grpc.RpcError, match="expected") as refusal:
            service.admin.ImportAccounts(iter(stream))
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert violated_field(refusal.value) == field
    assert get_records(service, "newcomer") == {}


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"account_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "account_id"),
        ({"account_id": "a" * 1025}, grpc.StatusCode.INVALID_ARGUMENT, "account_id"),
        ({"reason": "  "}, grpc.StatusCode.INVALID_ARGUMENT, "reason"),
        ({"reason": "r" * 1025}, grpc.StatusCode.INVALID_ARGUMENT, "reason"),
        ({"account_id": "nobody-here"}, grpc.StatusCode.NOT_FOUND, "account_id"),
    ],
)
def test_a_change_without_reason_or_account_is_refused(
    service: Service, changes: dict[str, str], code: grpc.StatusCode, field: str
) -> None:
    """Each refusal names the field, and an unknown account's name is not repeated."""
    fields = {"account_id": "a", **WHO, **changes}
    for call, kind in (
        (service.admin.ResetAccount, pb.ResetAccountRequest),
        (service.admin.DeleteAccount, pb.DeleteAccountRequest),
    ):
        with pytest.raises(grpc.RpcError) as refusal:
            call(kind(**fields))
        assert refusal.value.code() is code
        assert violated_field(refusal.value) == field
        assert "nobody-here" not in refusal.value.details()


def test_an_unknown_account_ends_an_export_with_its_reason(service: Service) -> None:
    """A stream's refusal is as good as any other's."""
    with pytest.raises(grpc.RpcError) as refusal:
        list(service.admin.ExportAccounts(pb.ExportAccountsRequest(account_ids=["nobody-here"])))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(refusal.value) == "ACCOUNT_NOT_FOUND"


def test_a_watcher_hears_of_a_crossing(small: SmallBundle, service: Service) -> None:
    """Each class that an account crosses is one event, with its level and its threshold."""
    watch = service.admin.WatchCrossings(pb.WatchCrossingsRequest(), timeout=60)
    watch.initial_metadata()
    ask(service, small, "watched")
    shown = service.admin.GetAccount(pb.GetAccountRequest(account_id="watched"))
    crossed = list(shown.summary.crossed_classes)
    events = [next(watch) for _ in crossed]
    watch.cancel()
    assert {event.account_id for event in events} == {"watched"}
    assert sorted(event.label for event in events) == crossed
    for event in events:
        assert event.crossing == pb.CROSSING_THRESHOLD
        assert event.level > event.limit > 0
        assert event.time_unix_nanos > 0


def test_the_audit_is_in_pages_and_in_the_log(small: SmallBundle, service: Service) -> None:
    """Every change is there, oldest first; the account's id is in neither."""
    ask(service, small, "named-in-no-log")
    service.admin.ResetAccount(pb.ResetAccountRequest(account_id="named-in-no-log", **WHO))
    entries, token = [], ""
    while True:
        request = pb.ListAuditEntriesRequest(page_size=2, page_token=token)
        page = service.admin.ListAuditEntries(request)
        entries += page.entries
        token = page.next_page_token
        if not token:
            break
    times = [entry.time for entry in entries]
    assert times == sorted(times)
    assert entries[-1].account_hash == account_hash("named-in-no-log")
    assert (entries[-1].actor, entries[-1].reason) == ("ana", "ticket 7")
    log = service.process.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if '"logger": "audit"' in line]
    assert [line["account_hash"] for line in lines] == [entry.account_hash for entry in entries]
    assert "named-in-no-log" not in log


def test_an_exemption_is_audited_and_changes_nothing_by_itself(
    small: SmallBundle, service: Service
) -> None:
    """Its beginning and its end have an actor and a reason, also for an account without records."""
    verdicts = ask(service, small, "vip")
    records = verdicts.count(Verdict.RECORD)
    for account_id, exempt, known in (
        ("vip", True, records),
        ("vip", False, records),
        ("new", True, 0),
    ):
        request = pb.AuditExemptionRequest(account_id=account_id, exempt=exempt, **WHO)
        assert service.admin.AuditExemption(request).records == known
    page = service.admin.ListAuditEntries(pb.ListAuditEntriesRequest(page_size=1000))
    told = [(entry.action, entry.account_hash) for entry in page.entries[-3:]]
    assert told == [
        ("exempt", account_hash("vip")),
        ("end of exemption", account_hash("vip")),
        ("exempt", account_hash("new")),
    ]
    assert Verdict.REVERSE in verdicts
    assert Verdict.REVERSE in ask(service, small, "vip")


def run(service: Service, *words: str) -> tuple[int, str]:
    """Exit code and output of `queen accounts` against the service."""
    key = write_key(service.process.log.parent)
    admin = ["--admin", service.process.addresses["admin"], "--operator-key", str(key)]
    result = CliRunner().invoke(command, [*words, *admin])
    return result.exit_code, result.output


def test_the_command_line_makes_every_change(
    small: SmallBundle, service: Service, tmp_path: Path
) -> None:
    """Export, reset, import, delete and audit, as an operator types them."""
    ask(service, small, "typed")
    before, file = get_records(service, "typed"), tmp_path / "out.jsonl"
    code, said = run(service, "export", str(file), "--account", "typed")
    assert (code, "personal data" in said) == (0, True), said
    assert file.stat().st_mode & 0o777 == 0o600
    parsed = json_format.Parse(file.read_text(), pb.AccountRecords())
    assert parsed == exported(service, "typed")

    code, said = run(service, "reset", "typed", "--reason", "false alarm")
    assert (code, "starts anew" in said) == (0, True), said
    assert get_records(service, "typed") == {}
    code, said = run(service, "import", str(file), "--reason", "it was none")
    assert (code, " 0 covered" in said) == (0, True), said
    assert get_records(service, "typed").keys() == before.keys()
    for end, line in ((), "exempt: true"), (("--end",), "exempt: false"):
        code, said = run(service, "exempt", "typed", "--reason", "load test", *end)
        assert (code, line in said.splitlines()) == (0, True), said
    code, said = run(service, "delete", "typed", "--reason", "left", "--yes")
    assert (code, "is erased" in said) == (0, True), said
    code, said = run(service, "audit")
    assert code == 0
    assert "false alarm" in " ".join(said.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("reset", "typed"), "--reason"),
        (("reset", "nobody-here", "--reason", "r"), "NOT_FOUND"),
        (("reset", "typed", "--reason", " "), "reason: expected 1 to 1024"),
        (("exempt", "typed", "--reason", " "), "reason: expected 1 to 1024"),
        (("export", "out", "--account", "nobody-here"), "NOT_FOUND"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple, said: str
) -> None:
    """One sentence, another exit code than 0, and no file."""
    monkeypatch.chdir(tmp_path)
    code, output = run(service, *words)
    assert code != 0
    assert said in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_export_is_refused_with_its_line(
    service: Service, tmp_path: Path
) -> None:
    """Nothing is sent of it."""
    file = tmp_path / "strange.jsonl"
    file.write_text('{"accountId": "a"}\nnot json\n')
    code, output = run(service, "import", str(file), "--reason", "r")
    assert code != 0
    assert "line 2: expected an account" in " ".join(output.split())


@pytest.mark.parametrize(
    ("key", "may_read", "may_act"),
    [
        ("", "UNAUTHENTICATED", "UNAUTHENTICATED"),
        ("another", "UNAUTHENTICATED", "UNAUTHENTICATED"),
        (DASHBOARD, "OK", "PERMISSION_DENIED"),
        (ANA, "OK", "OK"),
    ],
)
def test_a_call_is_an_operators(service: Service, key: str, may_read: str, may_act: str) -> None:
    """Whoever reaches the port without a key does nothing, and a reader changes nothing."""
    channel = grpc.insecure_channel(service.process.addresses["admin"])
    stub = admin_pb2_grpc.AdminServiceStub(as_operator(channel, key) if key else channel)
    reads = (
        lambda: stub.ListAccounts(pb.ListAccountsRequest()),
        lambda: stub.ListAuditEntries(pb.ListAuditEntriesRequest()),
        lambda: stub.ListLinks(pb.ListLinksRequest()),
    )
    acts = (
        lambda: stub.AuditExemption(pb.AuditExemptionRequest(account_id="x", **WHO)),
        lambda: list(stub.ExportAccounts(pb.ExportAccountsRequest())),
    )
    assert {code_of(call) for call in reads} == {may_read}
    assert {code_of(call) for call in acts} == {may_act}
    if may_act != "OK":
        erasures = (
            lambda: stub.ResetAccount(pb.ResetAccountRequest(account_id="x", **WHO)),
            lambda: stub.DeleteAccount(pb.DeleteAccountRequest(account_id="x", **WHO)),
            lambda: stub.ImportAccounts(iter([pb.ImportAccountsRequest(**WHO)])),
        )
        assert {code_of(call) for call in erasures} == {may_act}


def code_of(call: Callable[[], object]) -> str:
    """The status of a call."""
    try:
        call()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"

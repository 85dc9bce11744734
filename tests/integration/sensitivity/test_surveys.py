"""Surveys of a running service, over every kind of store: links, totals, and own budgets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import sensitivity_pb2
from queen.bundle import open_bundle
from queen.cli.accounts.command import command
from queen.method.geometry import Geometry
from queen.method.ledger import Verdict
from queen.serving.auth import key_digest
from tests.bundles import SmallBundle
from tests.integration.refusals import violated_field
from tests.integration.sensitivity.calls import Service, get_records, stubs
from tests.operators import write_key, write_operators
from tests.redis_servers import redis_server
from tests.service_process import running_service

BUDGET = 20
"""The service's default, which every account of these tests crosses."""
OWN = 300
EACH = 60
HONEST = [f"honest-{number}" for number in range(12)]
THIEVES = ["thief-1", "thief-2"]
WHO = {"reason": "ticket 7"}


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis"])
def service(
    small: SmallBundle, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """A process that surveys all the time, with honest accounts and two that share images."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        state: object = "memory"
        if request.param == "sqlite":
            state = folder / "ledger.sqlite3"
        if request.param == "redis":
            state = stack.enter_context(redis_server(folder / "redis")).url
        process = stack.enter_context(
            running_service(
                "sensitivity",
                folder,
                **{"bundle": small.path, "state": state, "admin-port": 0, "budget": BUDGET},
                operators=write_operators(folder),
                **{"survey-seconds": 0.05, "redis-timeout-seconds": 10},
            )
        )
        running = stubs(process)
        for number, name in enumerate(HONEST):
            send(running, small, policy_of(name), number)
        for number, name in enumerate(THIEVES):
            send(running, small, policy_of(name), 100 + number, shared=20)
        yield running


def disc(geometry: Geometry, label: int, seed: int, count: int) -> np.ndarray:
    """Embeddings spread evenly over nine tenths of a region."""
    rng = np.random.default_rng((seed, label))
    angles = rng.uniform(0, 2 * np.pi, count)
    length = 0.9 * np.sqrt(rng.uniform(size=count)) * geometry.sensitive_radius[label]
    offset = np.stack([np.cos(angles), np.sin(angles)], axis=1) * length[:, None]
    return geometry.cluster_centers[label] + offset


def policy_of(name: str, budget: int = OWN, group: str = "all") -> sensitivity_pb2.AccountPolicy:
    """The policy of an account."""
    return sensitivity_pb2.AccountPolicy(account_id=name, budget=budget, group=group)


def send(
    service: Service,
    small: SmallBundle,
    policy: sensitivity_pb2.AccountPolicy,
    seed: int,
    *,
    shared: int = 0,
) -> bytes:
    """Verdicts on EACH queries a class; the first `shared` are the same for every account."""
    geometry = open_bundle(small.path).geometry
    labels = np.repeat(np.arange(geometry.num_classes), EACH)
    pieces = [
        piece
        for label in range(geometry.num_classes)
        for piece in (
            disc(geometry, label, 999, shared),
            disc(geometry, label, seed, EACH - shared),
        )
    ]
    request = sensitivity_pb2.AssessRequest(
        bundle_digest=small.manifest.digest,
        accounts=[policy],
        account_index=np.zeros(len(labels), "<u4").tobytes(),
        labels=labels.astype("<i4").tobytes(),
        embeddings=np.concatenate(pieces).astype("<f4").tobytes(),
    )
    return bytes(service.sensitivity.Assess(request, timeout=30).verdicts)


def next_survey(service: Service) -> pb.ListLinksResponse:
    """The results of a survey that began after this call."""
    ended, deadline = [time.time_ns()], time.monotonic() + 60
    # The first to end after now may have begun before.
    while time.monotonic() < deadline:
        answer = service.admin.ListLinks(pb.ListLinksRequest())
        if answer.HasField("survey") and answer.survey.time_unix_nanos > ended[-1]:
            ended.append(answer.survey.time_unix_nanos)
        if len(ended) == 3:
            return answer
        time.sleep(0.02)
    raise AssertionError("no survey has ended")


def gauges(service: Service) -> dict[str, float]:
    """Values of the series without labels of their own."""
    families = text_string_to_metric_families(service.process.metrics())
    return {sample.name: sample.value for family in families for sample in family.samples}


def run(service: Service, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `queen accounts` against the service."""
    key = write_key(service.process.log.parent)
    admin = ["--admin", service.process.addresses["admin"], "--operator-key", str(key)]
    result = CliRunner().invoke(command, [*words, *admin])
    return result.exit_code, result.stdout, result.stderr


def accounts_file(path: Path, **fields: object) -> Path:
    """An accounts file of the thieves, with fields of both."""
    entries = [{"id": name, "key_sha256": key_digest(name), **fields} for name in THIEVES]
    path.write_text(json.dumps({"accounts": entries}))
    return path


def test_accounts_that_share_images_are_suggested(small: SmallBundle, service: Service) -> None:
    """Those two and no others, an account with its group neither, which has its records."""
    answer = next_survey(service)
    (link,) = answer.links
    assert {link.account_id, link.other_account_id} == set(THIEVES)
    assert link.score > 6
    assert link.shared_records > 2 * link.expected_records > 0
    own = [sum(map(len, get_records(service, name).values())) for name in THIEVES]
    assert sorted([link.records, link.other_records]) == sorted(own)
    survey = answer.survey
    assert survey.links_found == 1
    assert survey.accounts == len(HONEST) + len(THIEVES)
    assert survey.accounts_over_budget == survey.accounts
    assert survey.budget_spent > 4
    assert 0.2 < survey.region_covered < 1
    left = (survey.accounts_not_compared, survey.records_not_compared, survey.pairs_not_compared)
    assert left == (0, 0, 0)
    assert answer.survey_seconds == pytest.approx(0.05)


def test_the_gauges_are_those_of_the_survey_and_name_no_account(service: Service) -> None:
    """An alarm reads them."""
    survey, shown = next_survey(service).survey, gauges(service)
    assert shown["queen_survey_accounts"] == survey.accounts
    assert shown["queen_survey_accounts_over_budget"] == survey.accounts_over_budget
    assert shown["queen_survey_links"] == 1
    assert shown["queen_survey_accounts_not_compared"] == 0
    assert shown["queen_everybody_budget_spent"] == survey.budget_spent
    assert shown["queen_everybody_region_covered"] == survey.region_covered
    assert shown["queen_survey_time_seconds"] >= survey.time_unix_nanos / 1e9
    text = service.process.metrics()
    assert 'queen_surveys_total{outcome="failed"} 0.0' in text
    everything = text + service.process.log.read_text()
    assert not any(name in everything for name in (*HONEST, *THIEVES))


def test_the_command_line_suggests_a_group(service: Service, tmp_path: Path) -> None:
    """The link, and the lines to add; nothing once they are in one group."""
    next_survey(service)
    code, out, _ = run(service, "links")
    assert code == 0
    (row,) = [line for line in out.splitlines() if " of " in line]
    assert all(name in row for name in THIEVES)
    for name in THIEVES:
        assert f'  - id: "{name}"\n    group: "linked-1"' in out
    code, out, _ = run(service, "links", "--json")
    (group,) = json.loads(out)["groups"]
    assert (group["group"], group["accounts"]) == ("linked-1", THIEVES)
    assert group["links"][0]["score"] > 6
    file = accounts_file(tmp_path / "accounts.yaml", group="one")
    code, out, err = run(service, "links", "--accounts", str(file))
    assert (code, out) == (0, "")
    assert "no link between accounts of different groups" in err


def test_an_account_is_measured_against_its_own_budget(
    small: SmallBundle, service: Service, tmp_path: Path
) -> None:
    """Crossed are the classes in which the engine, under that budget, reversed."""
    budgets = {"measured-1": 25, "measured-2": 200}
    for seed, (name, budget) in enumerate(budgets.items(), 700):
        verdicts = send(service, small, policy_of(name, budget, ""), seed)
        by_class = np.frombuffer(verdicts, np.uint8).reshape(-1, EACH)
        crossed = np.flatnonzero((by_class == Verdict.REVERSE).any(axis=1)).tolist()
        assert bool(crossed) == (budget == 25)
        request = pb.GetAccountRequest(account_id=name, budget=budget)
        shown = service.admin.GetAccount(request)
        # The last record may cross a class that no later query shows.
        assert set(crossed) <= set(shown.summary.crossed_classes)
        assert bool(crossed) == (shown.summary.budget_spent > 1)
        assert shown.summary.budget == budget
        default = service.admin.GetAccount(pb.GetAccountRequest(account_id=name)).summary
        assert default.budget == BUDGET
        share = shown.summary.budget_spent * budget / BUDGET
        assert default.budget_spent == pytest.approx(share)
        own = [pb.AccountBudget(account_id=owner, budget=budgets[owner]) for owner in budgets]
        listed = service.admin.ListAccounts(pb.ListAccountsRequest(page_size=500, budgets=own))
        summaries = {summary.account_id: summary for summary in listed.accounts}
        assert summaries[name] == shown.summary
        assert summaries["thief-1"].budget == BUDGET
        assert summaries["thief-1"].crossed_classes

    file = accounts_file(tmp_path / "accounts.yaml", budget=OWN, exempt=True)
    code, out, _ = run(service, "list", "--accounts", str(file))
    assert code == 0
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if "%" in line}
    assert f" {OWN} " in rows["thief-1"]
    assert "none" in rows["thief-1"]
    assert "none" not in rows["honest-1"]
    code, out, _ = run(service, "show", "thief-1", "--accounts", str(file))
    assert f"T of a budget of {OWN}\n" in "\n".join(map(str.strip, out.splitlines()))
    assert "exempt" in out
    for name in budgets:
        service.admin.DeleteAccount(pb.DeleteAccountRequest(account_id=name, **WHO))


@pytest.mark.parametrize(
    ("budgets", "field"),
    [
        ([("a", 10**6)], None),
        ([("thief-1", 10**6)], "accounts.budget"),
        ([("a", 1), ("a", 2)], "budgets"),
        ([("", 1)], "budgets"),
    ],
    ids=["of no account with a ledger", "above the packing limit", "twice", "no account"],
)
def test_a_strange_budget_is_refused(
    service: Service, budgets: list[tuple[str, int]], field: str | None
) -> None:
    """In words; a budget of an account that has no ledger is not looked at."""
    own = [pb.AccountBudget(account_id=name, budget=budget) for name, budget in budgets]
    request = pb.ListAccountsRequest(budgets=own)
    if field is None:
        assert service.admin.ListAccounts(request).accounts
        return
    with pytest.raises(grpc.RpcError, match="expected") as refusal:
        service.admin.ListAccounts(request)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_field(refusal.value) == field


def test_a_deleted_account_is_in_no_link_and_no_total(service: Service) -> None:
    """It leaves the links at once, and the totals with the next survey."""
    before = next_survey(service)
    assert len(before.links) == 1
    service.admin.DeleteAccount(pb.DeleteAccountRequest(account_id="thief-2", **WHO))
    assert not service.admin.ListLinks(pb.ListLinksRequest()).links
    after = next_survey(service)
    assert not after.links
    assert after.survey.accounts == before.survey.accounts - 1
    assert after.survey.records < before.survey.records
    assert gauges(service)["queen_survey_links"] == 0


def test_without_surveys_there_is_nothing_to_list(small: SmallBundle, tmp_path: Path) -> None:
    """The answer and the command say that none are made."""
    flags = {"bundle": small.path, "state": "memory", "admin-port": 0, "survey-seconds": 0}
    operators = write_operators(tmp_path)
    with running_service("sensitivity", tmp_path, operators=operators, **flags) as process:
        running = stubs(process)
        answer = running.admin.ListLinks(pb.ListLinksRequest())
        assert not answer.HasField("survey")
        assert answer.survey_seconds == 0
        code, out, err = run(running, "links")
        assert (code, out) == (0, "")
        assert "survey_seconds is 0" in err
        assert process.drain() == 0

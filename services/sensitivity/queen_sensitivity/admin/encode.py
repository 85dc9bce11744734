"""Encodes values as the admin API's responses."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict

from queen.api.v1 import admin_pb2 as pb
from queen.operators import AuditEntry
from queen.wire import tensor_bytes
from queen_sensitivity.admin.administration import Erased
from queen_sensitivity.admin.crossing_feed import Missed, Seen
from queen_sensitivity.admin.transfer import AccountRecords
from queen_sensitivity.survey.accounts import AccountState
from queen_sensitivity.survey.comparison import SuggestedLink
from queen_sensitivity.survey.surveyor import Survey


def page_token(position: str) -> str:
    """Token of the page that begins behind `position`; opaque, so that it may change."""
    return base64.urlsafe_b64encode(position.encode()).decode()


def accounts_response(states: Sequence[AccountState], has_more: bool) -> pb.ListAccountsResponse:
    """A page of accounts."""
    return pb.ListAccountsResponse(
        accounts=[_summary(state) for state in states],
        next_page_token=page_token(states[-1].account_id) if has_more else "",
    )


def account_response(state: AccountState, bundle_digest: str) -> pb.GetAccountResponse:
    """An account with all its ledgers."""
    return pb.GetAccountResponse(
        summary=_summary(state),
        classes=[_class_ledger(state, label) for label in state.records],
        bundle_digest=bundle_digest,
    )


def deleted_response(erased: Erased) -> pb.DeleteAccountResponse:
    """The numbers of records and geometries that a deletion removed."""
    return pb.DeleteAccountResponse(records_before=erased.records, geometries=erased.geometries)


def export_response(account: AccountRecords, geometry_digest: str) -> pb.ExportAccountsResponse:
    """An account of an export."""
    classes = [
        pb.ClassRecords(label=label, embeddings=tensor_bytes(records))
        for label, records in sorted(account.classes.items())
    ]
    return pb.ExportAccountsResponse(
        account=pb.AccountRecords(
            account_id=account.account_id,
            geometry_digest=geometry_digest,
            classes=classes,
            marks=account.marks,
        )
    )


def crossing_response(event: Seen | Missed) -> pb.WatchCrossingsResponse:
    """An event of a watch, or the count of missed events."""
    if isinstance(event, Missed):
        return pb.WatchCrossingsResponse(missed=event.count)
    crossing = event.crossing
    return pb.WatchCrossingsResponse(
        time_unix_nanos=event.time_unix_nanos,
        account_id=crossing.account_id,
        crossing=pb.Crossing.Name(crossing.kind),
        label=crossing.label or 0,
        level=crossing.level,
        limit=crossing.limit,
    )


def audit_response(entries: Sequence[AuditEntry], next_entry: int) -> pb.ListAuditEntriesResponse:
    """A page of the audit; `next_entry` begins the next page, 0 if there is none."""
    return pb.ListAuditEntriesResponse(
        entries=[pb.AuditEntry(**asdict(entry)) for entry in entries],
        next_page_token=page_token(str(next_entry)) if next_entry else "",
    )


def links_response(survey: Survey | None, every_seconds: float) -> pb.ListLinksResponse:
    """The last survey, absent where there is none yet."""
    if survey is None:
        return pb.ListLinksResponse(survey_seconds=every_seconds)
    return pb.ListLinksResponse(
        survey=_survey(survey),
        links=[_link(link) for link in survey.comparison.links],
        survey_seconds=every_seconds,
    )


def _summary(state: AccountState) -> pb.AccountSummary:
    return pb.AccountSummary(
        account_id=state.account_id,
        records=state.record_count,
        crossed_classes=state.crossed,
        budget_spent=state.budget_spent,
        off_distribution=state.off_distribution,
        budget=state.policy.budget,
        over_budget=state.is_over,
        needed_classes=state.limits.needed,
        class_cap=state.policy.class_cap,
    )


def _class_ledger(state: AccountState, label: int) -> pb.ClassLedger:
    return pb.ClassLedger(
        label=label,
        cqs=state.cqs[label],
        threshold=float(state.limits.thresholds[label]),
        embeddings=tensor_bytes(state.records[label]),
    )


def _survey(survey: Survey) -> pb.Survey:
    totals, comparison = survey.totals, survey.comparison
    return pb.Survey(
        time_unix_nanos=survey.time_unix_nanos,
        seconds=survey.seconds,
        accounts=totals.accounts,
        records=totals.records,
        accounts_over_budget=totals.over_budget,
        budget_spent=totals.budget_spent,
        region_covered=totals.region_covered,
        classes_cut=totals.classes_cut,
        accounts_not_compared=comparison.accounts_left_out,
        records_not_compared=comparison.records_left_out,
        pairs_not_compared=comparison.pairs_left_out,
        links_found=comparison.links_found,
    )


def _link(link: SuggestedLink) -> pb.Link:
    return pb.Link(
        account_id=link.account_id,
        other_account_id=link.other_account_id,
        score=link.score,
        shared_records=link.shared,
        expected_records=link.expected,
        records=link.records,
        other_records=link.other_records,
    )

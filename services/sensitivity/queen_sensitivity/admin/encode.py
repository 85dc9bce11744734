"""From a survey to what the admin API says of it."""

from __future__ import annotations

from queen.api.v1 import admin_pb2 as pb
from queen_sensitivity.survey.comparison import SuggestedLink
from queen_sensitivity.survey.surveyor import Survey


def links_response(survey: Survey | None, every_seconds: float) -> pb.ListLinksResponse:
    """The last survey, absent where there is none yet."""
    if survey is None:
        return pb.ListLinksResponse(survey_seconds=every_seconds)
    return pb.ListLinksResponse(
        survey=_survey(survey),
        links=[_link(link) for link in survey.comparison.links],
        survey_seconds=every_seconds,
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
        links_found=comparison.found,
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

"""The gauges of the last survey."""

from __future__ import annotations

from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.survey.metrics import SurveyMetrics

from queen.serving.metrics import Metrics
from tests.unit.sensitivity.survey.surveys import survey_of, surveyor_of


def test_the_gauges_are_those_of_the_survey(populated: MemoryLedgerStore) -> None:
    """Every total of a survey that an alarm needs is a gauge, and outcomes are counted."""
    metrics = Metrics()
    shown = SurveyMetrics(metrics)
    survey = survey_of(surveyor_of(populated))
    shown.show(survey)
    shown.count("done")
    value = metrics.registry.get_sample_value
    assert value("queen_survey_time_seconds") == 42e-9
    assert value("queen_survey_accounts") == survey.totals.accounts
    assert value("queen_survey_accounts_over_budget") == survey.totals.over_budget
    assert value("queen_survey_links") == survey.comparison.links_found == 1
    assert value("queen_survey_accounts_not_compared") == survey.comparison.accounts_left_out
    assert value("queen_everybody_budget_spent") == survey.totals.budget_spent
    assert value("queen_everybody_region_covered") == survey.totals.region_covered
    assert value("queen_surveys_total", {"outcome": "done"}) == 1
    assert value("queen_surveys_total", {"outcome": "failed"}) == 0

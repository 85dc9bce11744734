"""Metrics of the surveys. No label holds an account."""

from __future__ import annotations

from queen.serving.metrics import Metrics
from queen_sensitivity.survey.surveyor import Survey

OUTCOMES = ("done", "failed")


class SurveyMetrics:
    """Gauges of the last survey, and a counter of all surveys by outcome."""

    def __init__(self, metrics: Metrics) -> None:
        self._surveys = metrics.labeled(
            "queen_surveys_total", "Surveys of all accounts, by outcome.", "outcome", OUTCOMES
        )
        self._time = metrics.gauge(
            "queen_survey_time_seconds", "When the last survey ended, in seconds since 1970."
        )
        self._seconds = metrics.gauge("queen_survey_seconds", "How long the last survey took.")
        self._accounts = metrics.gauge("queen_survey_accounts", "Accounts that have a ledger.")
        self._over_budget = metrics.gauge(
            "queen_survey_accounts_over_budget",
            "Accounts over a default budget.",
        )
        self._links = metrics.gauge("queen_survey_links", "Links between accounts, suggested.")
        self._not_compared = metrics.gauge(
            "queen_survey_accounts_not_compared",
            "Accounts that were left out of the search for links.",
        )
        self._budget_spent = metrics.gauge(
            "queen_everybody_budget_spent",
            "Largest share of a default budget that all accounts would have spent as one.",
        )
        self._region_covered = metrics.gauge(
            "queen_everybody_region_covered",
            "Largest share of a sensitive region that the records of all accounts cover.",
        )

    def count(self, outcome: str) -> None:
        """Count a survey by its outcome."""
        self._surveys[outcome].inc()

    def show(self, survey: Survey) -> None:
        """Set the gauges to a survey's results."""
        totals, comparison = survey.totals, survey.comparison
        self._time.set(survey.time_unix_nanos / 1e9)
        self._seconds.set(survey.seconds)
        self._accounts.set(totals.accounts)
        self._over_budget.set(totals.over_budget)
        self._links.set(comparison.links_found)
        self._not_compared.set(comparison.accounts_left_out)
        self._budget_spent.set(totals.budget_spent)
        self._region_covered.set(totals.region_covered)

"""The front door's own metrics. No label holds an account."""

from __future__ import annotations

from queen.decision_line import HURRIED, LEDGER_DAMAGED, LEDGER_FULL, OVER_BUDGET, OVERLOADED
from queen.serving.metrics import Metrics

STAGES = ("decode", "queue", "infer", "assess", "preserve", "reverse", "encode")
DEPENDENCIES = ("sensitivity", "perturber")
ENDPOINT_STATES = ("known", "up")
SECRET_STATES = ("current", "retiring")
_ROW_BUCKETS = tuple(float(1 << power) for power in range(11))


class InferenceMetrics:
    """The service's own metrics, every series made in advance."""

    def __init__(self, metrics: Metrics) -> None:
        self.stages = metrics.stages(*STAGES)
        self.decisions = metrics.labeled(
            "queen_decisions_total",
            "Queries, by verdict.",
            "decision",
            ("preserve", "record", "reverse", "unassessed"),
        )
        self.failure_mode = metrics.labeled(
            "queen_failure_mode_total",
            "Requests that a failure mode answered, by mode.",
            "mode",
            ("protect", "deny", "allow"),
        )
        self.dropped = metrics.labeled(
            "queen_dropped_requests_total",
            "Requests that were given no answer: left or too late before their run, refused to let "
            "others in, in too much of a hurry for a verdict, too many for a peer, or refused: "
            "their account is over its budget, their ledger is damaged, or no record of them can "
            "be kept.",
            "reason",
            (
                *("cancelled", "expired", "gave_way", HURRIED, OVERLOADED, OVER_BUDGET),
                *(LEDGER_FULL, LEDGER_DAMAGED),
            ),
        )
        self.violations = metrics.counter(
            "queen_contract_violations_total",
            "Answers replaced because they broke the contract of their profile.",
        )
        self.decisions_lost = metrics.labeled(
            "queen_decision_log_dropped_total",
            "Decision records that could not be written, by the harshest verdict in them.",
            "decision",
            ("preserve", "record", "reverse", "unassessed"),
        )
        self.batch_rows = metrics.histogram(
            "queen_batch_rows", "Queries in a micro-batch.", buckets=_ROW_BUCKETS
        )
        self.queue_rows = metrics.gauge("queen_queue_rows", "Queries that wait or run.")
        up = metrics.gauge(
            "queen_dependency_up", "Whether a peer answered its last probe.", ("dependency",)
        )
        self.dependency_up = {name: up.labels(name) for name in DEPENDENCIES}
        self.secrets_mixed = metrics.gauge(
            "queen_perturber_secrets_mixed",
            "1 while the perturbers are refused, since no secret is held by all of them.",
        )
        secrets = metrics.gauge(
            "queen_perturber_secrets",
            "Secrets that every perturber holds: the current one, and those that retire.",
            ("state",),
        )
        self.secrets = {state: secrets.labels(state) for state in SECRET_STATES}
        endpoints = metrics.gauge(
            "queen_sensitivity_endpoints",
            "Endpoints of the sensitivity service: all that are known, and those that serve.",
            ("state",),
        )
        self.endpoints = {state: endpoints.labels(state) for state in ENDPOINT_STATES}
        self.failovers = metrics.counter(
            "queen_sensitivity_failovers_total",
            "Calls repeated at another endpoint, since the first was not there.",
        )

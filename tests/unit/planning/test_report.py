"""The report of a plan, and the policies that it chooses."""

from __future__ import annotations

import json

from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.planning.report import AccountStory, Effect, Finding, PlanReport, exactness

STRICT, MILD = CrossingPolicy(50, 1, CAP_OFF), CrossingPolicy(100, 3, 3)


def report_of(strict: int, mild: int, spare: float) -> PlanReport:
    """1,000 accounts, of which two policies spare so many."""
    effects = {Profile.STRICT: strict}, {Profile.STRICT: mild}
    findings = [
        Finding(
            policy,
            1,
            1000 - spared[Profile.STRICT],
            0,
            [],
            None,
            {profile: Effect(count, 0.5) for profile, count in spared.items()},
        )
        for policy, spared in zip((STRICT, MILD), effects, strict=True)
    ]
    report = PlanReport("digest", spare, accounts=1000, findings=findings)
    report.choose([Profile.STRICT])
    return report


def test_the_strictest_policy_that_spares_enough_is_chosen() -> None:
    """The share may be reached exactly; if no policy reaches it, none is chosen."""
    assert report_of(999, 1000, 0.999).chosen == {Profile.STRICT: STRICT}
    assert report_of(998, 1000, 0.999).chosen == {Profile.STRICT: MILD}
    assert report_of(998, 998, 0.999).chosen == {Profile.STRICT: None}


def test_a_report_is_written_whole() -> None:
    """Policies as accounts.yaml states them, with off as a word."""
    report = report_of(998, 998, 0.9)
    report.stories[STRICT] = [AccountStory("hash", 7, [(0, 7)])]
    written = json.loads(json.dumps(report.as_json()))
    strict = {"budget": 50, "breadth": 1, "class_cap": "off"}
    assert written["chosen"] == {"strict": strict}
    assert [finding["policy"] for finding in written["findings"]] == [
        strict,
        {"budget": 100, "breadth": 3, "class_cap": 3},
    ]
    assert written["findings"][0]["effects"]["strict"] == {"spared": 998, "changed": 0.5}
    (story,) = written["stories"]
    assert story["accounts"] == [{"account_hash": "hash", "over_after": 7, "crossed": [[0, 7]]}]
    assert written["accounts"] == 1000


def test_shares_under_paper_and_refuse_are_bounds() -> None:
    """What is new to an account that is over depends on what it has recorded."""
    assert exactness(Profile.REFUSE) == "at most"
    assert exactness(Profile.PAPER) == "at least"
    assert exactness(Profile.STRICT) == exactness(Profile.BALANCED) == ""

import json
from dataclasses import replace

import yaml

from queen.cli.accounts.accounts_file import NO_POLICIES, Policies, policies_of
from queen.cli.accounts.admin_values import Link, Survey, SurveyedLinks
from queen.cli.accounts.links import entry_lines, suggest, survey_words
from queen.serving.accounts import AccountEntry, AccountsFile
from tests.unit.cli.accounts.admin_port import run

SURVEY = Survey(10**18, 0.5, 7, 90, 2, 1.5, 0.25, 0, 0, 0, 0, 0)


def link(account: str, other: str, score: float = 9.0) -> Link:
    """A link of 12 records in common."""
    return Link(account, other, score, 12, 1.5, 40, 60)


def grouped(**groups: str) -> Policies:
    """Policies of accounts with a group each."""
    entries = [
        AccountEntry(id=name, key_sha256=f"{number:064x}", group=group)
        for number, (name, group) in enumerate(groups.items())
    ]
    return policies_of(AccountsFile(accounts=entries))


def test_links_that_meet_are_one_suggestion():
    """A chain of pairs is one group, with a name that is free."""
    links = [link("a", "b"), link("x", "y"), link("b", "c")]
    suggestions = suggest(links, grouped(else_where="linked-1"))
    assert [(suggestion.group, suggestion.accounts) for suggestion in suggestions] == [
        ("linked-2", ("a", "b", "c")),
        ("linked-3", ("x", "y")),
    ]
    assert [len(suggestion.links) for suggestion in suggestions] == [2, 1]


def test_accounts_of_one_group_are_not_suggested_again():
    """Links inside of a group are left out; an account linked to a member is to join its group."""
    policies = grouped(a="acme", b="acme", d="other")
    assert suggest([link("a", "b")], policies) == []
    (joined,) = suggest([link("a", "b"), link("b", "c")], policies)
    assert (joined.group, joined.accounts, joined.changes(policies)) == ("acme", ("b", "c"), ("c",))
    (both,) = suggest([link("a", "d")], policies)
    assert (both.group, both.others, both.changes(policies)) == ("acme", ("other",), ("d",))
    assert 'some are in "other" now' in entry_lines([both], policies)


def test_links_to_two_members_of_a_group_are_one_suggestion():
    """The members belong together, though no link between them is new."""
    (joined,) = suggest([link("a", "x"), link("b", "y")], grouped(a="acme", b="acme"))
    assert joined.accounts == ("a", "b", "x", "y")


def test_the_lines_are_yaml_whatever_an_id_has():
    """An id with a colon or a quote is no trap."""
    lines = entry_lines(suggest([link("a: b", 'c"')], NO_POLICIES), NO_POLICIES)
    (said, *entries) = lines.splitlines()
    assert "accounts.yaml" in said
    assert yaml.safe_load("\n".join(entries)) == [
        {"id": "a: b", "group": "linked-1"},
        {"id": 'c"', "group": "linked-1"},
    ]


def test_the_survey_says_how_much_was_left_out():
    """Before the first, without any, and after a survey that did not compare all."""
    assert "survey_seconds is 0" in survey_words(SurveyedLinks(None, (), 0.0))
    waiting = SurveyedLinks(None, (), 300.0)
    assert survey_words(waiting) == "no survey has ended yet; one begins every 300 s"
    whole = survey_words(SurveyedLinks(SURVEY, (), 300.0))
    assert whole == (
        "survey of 2001-09-09T01:46:40+00:00: 7 accounts, 2 over the default budget; as one "
        "account they would have spent 150% of it, and cover 25% of a region"
    )
    part = replace(SURVEY, classes_cut=1, links_found=3, accounts_not_compared=5)
    cut = survey_words(SurveyedLinks(part, (link("a", "b"),), 300.0))
    assert "at least 150%" in cut
    assert cut.endswith("left out: 5 accounts with few records, 2 weaker links")


def test_the_command_suggests_a_group(port):
    """As a table with lines for accounts.yaml, or as JSON with every field."""
    port.links.survey.accounts = 7
    port.links.links.add(account_id="a", other_account_id="b", score=9.0, shared_records=12)
    port.links.survey.links_found = 1
    ran = run(port, "links")
    assert ran.exit_code == 0, ran.output
    assert '  - id: "a"\n    group: "linked-1"' in ran.stdout
    assert "7 accounts" in ran.stderr
    (group,) = json.loads(run(port, "links", "--json").stdout)["groups"]
    assert (group["group"], group["accounts"]) == ("linked-1", ["a", "b"])
    assert group["to_change"] == ["a", "b"]
    assert group["links"][0]["shared_records"] == 12
    port.links.ClearField("links")
    assert "no link between accounts" in run(port, "links").stderr

import yaml

from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.links import entry_lines, links_table, suggest, survey_words
from queen.cli.accounts.policies import Policies, policies_of
from queen.serving.accounts import AccountEntry, AccountsFile
from tests.unit.cli.accounts.test_command import printed

NONE = Policies({}, {})


def link(one: str, other: str, score: float = 9.0) -> pb.Link:
    """A link of 12 records in common."""
    return pb.Link(
        account_id=one,
        other_account_id=other,
        score=score,
        shared_records=12,
        expected_records=1.5,
        records=40,
        other_records=60,
    )


def grouped(**groups: str) -> Policies:
    """Policies of accounts with a group each."""
    entries = [
        AccountEntry(id=name, key_sha256=f"{number:064x}", group=group)
        for number, (name, group) in enumerate(groups.items())
    ]
    return policies_of(AccountsFile(accounts=entries))


def test_links_that_meet_are_one_suggestion():
    """A chain of pairs is one group, with a name that is free."""
    found = [link("a", "b"), link("x", "y"), link("b", "c")]
    suggestions = suggest(found, grouped(else_where="linked-1"))
    assert [(each.group, each.accounts) for each in suggestions] == [
        ("linked-2", ("a", "b", "c")),
        ("linked-3", ("x", "y")),
    ]
    assert [len(each.links) for each in suggestions] == [2, 1]


def test_accounts_of_one_group_are_not_suggested_again():
    """What is known is left out; who is linked to a member is to join the group."""
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
    lines = entry_lines(suggest([link("a: b", 'c"')], NONE), NONE)
    (said, *entries) = lines.splitlines()
    assert "accounts.yaml" in said
    assert yaml.safe_load("\n".join(entries)) == [
        {"id": "a: b", "group": "linked-1"},
        {"id": 'c"', "group": "linked-1"},
    ]


def test_the_table_says_what_chance_explains():
    """Records in common, of how many, what chance gives, and the score; no markup in an id."""
    text = printed(links_table(suggest([link("[red]a", "b", 8.25)], NONE)))
    assert "1 link " in text
    (line,) = [line for line in text.splitlines() if "linked-1" in line]
    for word in ("[red]a", "b", "12 of 40", "1.5", "8.2"):
        assert word in line


def test_the_survey_says_what_was_left_out():
    """Before the first, without any, and after one that did not compare all."""
    assert "survey_seconds is 0" in survey_words(pb.ListLinksResponse())
    waiting = pb.ListLinksResponse(survey_seconds=300)
    assert survey_words(waiting) == "no survey has ended yet; one begins every 300 s"
    survey = pb.Survey(time_unix_nanos=10**18, accounts=7, accounts_over_budget=2, budget_spent=1.5)
    survey.region_covered = 0.25
    whole = survey_words(pb.ListLinksResponse(survey=survey))
    assert whole == (
        "survey of 2001-09-09T01:46:40+00:00: 7 accounts, 2 over the default budget; as one "
        "account they would have spent 150% of it, and cover 25% of a region"
    )
    survey.classes_cut, survey.links_found, survey.accounts_not_compared = 1, 3, 5
    cut = survey_words(pb.ListLinksResponse(survey=survey, links=[link("a", "b")]))
    assert "at least 150%" in cut
    assert cut.endswith("left out: 5 accounts with few records, 2 weaker links")

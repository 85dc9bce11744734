"""The opening: a table and a picture of what a thief gets and what customers pay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from queen.defaults import BREADTH, BUDGET, CLASS_CAP, PROFILE
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF
from queen.redteam.defenses import DEFENSES, none
from queen.redteam.plans.cell import QUEEN
from queen.redteam.plans.cifar10 import cifar10_plan
from queen.redteam.plans.full import full_plan
from queen.redteam.plans.plan import IN, Plan
from queen.redteam.report.leaks import leak_cell, read_leaks
from queen.redteam.report.markdown import met_text, percent, table
from queen.redteam.report.picture import PICTURE, draw_picture
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import Standing, over_seeds, standings
from queen.results.files import learned_rows, red_team_file

_ANSWERS = {
    Profile.PAPER: "reversed answers",
    Profile.SAFE: "labels alone, from the start",
    Profile.BALANCED: "another label, close by",
    Profile.STRICT: "the answers of a decoy",
    Profile.REFUSE: "an error",
}
"""The answers to an account that is over its budget, in few words."""
_COLUMNS = (
    *("defense", "past the budget", "a thief's best copy", "made by", "met"),
    *("a customer loses", "of the kind", "leak"),
)
_TEXT = """## {title}: what a thief gets, and who pays

A thief sends {queries:,} queries of one account, near the model's own data. The model is right on
{protectee} % of the test set, a guess on 10 %. Under Queen an account is over its budget once
{breadth} classes hold {budget} records each. From `docs/results/{file}`, by
`queen redteam --{plan}`; mean ± standard deviation over the seeds.

- *a thief's best copy*: the most accurate one that the attacks made which this defense *met*. Rows
  that met different numbers of attacks are no ranking.
- *a customer loses*: the share of the queries of an honest account that got a changed label or no
  answer, of the *kind* of traffic that loses most; each account sent up to 10,000. The picture has
  every kind.
- *leak*: the labels that the best learned rule reads from the answers past the budget (of a
  baseline: from all), beyond what the input alone gives away, in points; in brackets its upper
  bound of 95 %. More than noise means that the right rule undoes the defense.

![What a thief gets, and what customers pay](results/{picture})
"""
NOT_YET = "not measured yet"


@dataclass(frozen=True)
class Line:
    """A defense of the opening; without a `standing` it is not measured yet.

    `key` has the fields of a standing's key that name the defense, and `planned` is the number of
    attacks that the plan has against it.
    """

    title: str
    answers: str
    key: Row
    planned: int
    standing: Standing | None

    @property
    def is_whole(self) -> bool:
        """Whether the defense has met every attack that the plan has against it."""
        return self.standing is not None and self.standing.met >= self.planned

    @property
    def met(self) -> str:
        """The numbers of attacks, of those in the plan, and of seeds; empty if not measured."""
        if self.standing is None:
            return ""
        attacks, seeds = met_text(self.standing).split(", ")
        if self.is_whole:
            return f"{attacks}, {seeds}"
        return f"{self.standing.met} of {self.planned} attacks, {seeds}"


def opened_plans() -> list[Plan]:
    """The plans whose figures open the page."""
    return [full_plan(), cifar10_plan()]


def opening_section(folder: Path) -> list[str]:
    """The table and the picture of each data set, from the files in `folder`."""
    lines: list[str] = []
    for plan in opened_plans():
        rows = learned_rows(red_team_file(folder, plan.dataset))
        if rows:
            lines += _section(plan, rows, folder)
    return lines


def draw_openings(folder: Path) -> None:
    """Write the pictures of the section into `folder`."""
    for plan in opened_plans():
        rows = learned_rows(red_team_file(folder, plan.dataset))
        lines = opening_lines(plan, rows)
        if rows:
            draw_picture([(_label(line), line.standing) for line in lines], _picture(plan, folder))


def opening_lines(plan: Plan, rows: Sequence[Row]) -> list[Line]:
    """The defenses of the plan's main setting: none, the profiles, the baselines."""
    setting = {"queries": asked_queries(plan, rows), "pool": IN, "accounts": 1}
    main = [line for line in standings(rows) if setting.items() <= line.key.items()]
    return [
        Line(title, answers, key, _planned(plan, key), _of_defense(main, key))
        for title, answers, key in _defenses(plan)
    ]


def asked_queries(plan: Plan, rows: Sequence[Row]) -> int:
    """The number of queries that most rows have; the plan's without any.

    A run on a GPU may ask more than the plan does.
    """
    counts = Counter(row["queries"] for row in rows if row["pool"] == IN and row["accounts"] == 1)
    return max(counts, key=lambda queries: (counts[queries], queries), default=plan.queries)


def _planned(plan: Plan, key: Row) -> int:
    """The attacks that a plan has against a defense in its main setting."""
    setting = {**key, "queries": plan.queries, "pool": IN, "accounts": 1}
    return len({cell.attack for cell in plan.cells() if setting.items() <= vars(cell).items()})


def _defenses(plan: Plan) -> Iterator[tuple[str, str, Row]]:
    """Title, answers and key of each defense of a plan, at the plan's budget."""
    nothing = {"dataset": plan.dataset, "profile": None}
    nothing |= dict.fromkeys(("budget", "breadth", "class_cap"))
    yield "no defense (`observe`)", "the same answers", {**nothing, "defense": none.DEFENSE.name}
    policy = {"budget": plan.budget, "breadth": BREADTH, "class_cap": CLASS_CAP}
    ours = {"dataset": plan.dataset, "defense": QUEEN}
    planned = {cell.profile for cell in plan.cells()}
    for profile in (profile for profile in Profile if profile.value in planned):
        title = f"`{profile}`{', the default' if profile is PROFILE else ''}"
        yield title, _ANSWERS[profile], {**ours, "profile": profile.value, **policy}
    published = {**ours, "profile": Profile.PAPER.value, "budget": plan.budget, "breadth": 1}
    published["class_cap"] = CAP_OFF
    if any(published.items() <= vars(cell).items() for cell in plan.cells()):
        yield "`paper` as published (breadth 1)", _ANSWERS[Profile.PAPER], published
    for name in dict.fromkeys(cell.defense for cell in plan.cells()):
        if name in DEFENSES and name != none.DEFENSE.name:
            yield name, DEFENSES[name].summary, {**nothing, "defense": name}


def _of_defense(main: Sequence[Standing], key: Row) -> Standing | None:
    return next((line for line in main if key.items() <= line.key.items()), None)


def _section(plan: Plan, rows: Sequence[Row], folder: Path) -> list[str]:
    protectee = over_seeds({row["seed"]: row["protectee_accuracy"] for row in rows}.values())
    text = _TEXT.format(
        title=plan.dataset,
        queries=asked_queries(plan, rows),
        protectee=percent(protectee),
        breadth=BREADTH,
        budget=BUDGET,
        file=red_team_file(folder, plan.dataset).name,
        plan=plan.name,
        picture=_picture(plan, folder).name,
    )
    leaks = read_leaks(folder / f"leak-{plan.dataset}.json")
    lines = opening_lines(plan, rows)
    cells = [[*_cells(line), leak_cell(leaks, line.key)] for line in lines]
    return [text, table(_COLUMNS, cells), ""]


def _cells(line: Line) -> list[str]:
    standing = line.standing
    if standing is None:
        return [line.title, line.answers, NOT_YET, *("-" for _ in range(4))]
    harmed = standing.figures["honest_harmed"]
    return [
        line.title,
        line.answers,
        f"**{percent(standing.worst)}**",
        standing.worst_attack,
        line.met,
        percent(harmed),
        standing.honest_kind if harmed and harmed.mean else "-",
    ]


def _label(line: Line) -> str:
    """The defense in the picture; the summaries of baselines are too long there."""
    title = line.title.replace("`", "")
    if line.key["profile"]:
        return f"{title}: {line.answers}"
    return title if line.key["defense"] == none.DEFENSE.name else f"another defense: {title}"


def _picture(plan: Plan, folder: Path) -> Path:
    return folder / f"{plan.dataset}-{PICTURE}"

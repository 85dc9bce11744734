"""The opening section: a customer's answers and a thief's copy under each profile."""

from __future__ import annotations

import json
from pathlib import Path

from queen.defaults import BREADTH, CLASS_CAP
from queen.method.contracts import Profile
from queen.redteam.defenses import none
from queen.redteam.plans.cell import QUEEN
from queen.redteam.plans.full import full_plan
from queen.redteam.plans.plan import IN, Plan
from queen.redteam.report.leaks import leak_cell, read_leaks
from queen.redteam.report.markdown import percent, table
from queen.redteam.report.standings import Standing, over_seeds, standings

_SEES = {
    Profile.PAPER: "the model's label; past the budget, reversed answers where a query is new and "
    "valuable, which whoever reads the paper undoes",
    Profile.SAFE: "the model's label and never its probabilities, within the budget and past it",
    Profile.BALANCED: "the model's label; past the budget, another class wherever L1 1.2 allows "
    "it, which whoever learns the rule undoes",
    Profile.STRICT: "the model's label; past the budget, answers of a decoy that knows nothing",
    Profile.REFUSE: "the model's label; past the budget, an error wherever a query is not near an "
    "earlier one",
    Profile.OBSERVE: "the model's own answers, within the budget and past it",
}
_COLUMNS = (
    *("profile", "a customer sees", "right within the budget", "right past it"),
    *("a thief's best copy", "made by", "plain copy", "floor", "leak"),
)
_TEXT = """## The profiles

{dataset}, a thief with {queries:,} queries of one account, a budget of {budget} records of a class,
mean ± standard deviation over {seeds} seeds; from `docs/results/{file}`, which
`queen redteam --full` made. The model itself is right on {protectee}.

- *right within the budget* and *right past it*: the answers to an honest account that asks for the
  first time, and to one that has asked {past:,} queries, of the kind of traffic in brackets: the
  one that the profile harms most.
- *a thief's best copy*: the most accurate copy that any attack made; *plain copy*: the copy that
  believes every answer.
- *floor*: a copy of the answers before the first reversal, or of their labels if that is better.
  No profile lowers it; a smaller budget does.
- *leak*: what a decoder reads from reversed answers beyond what the input alone gives away, in
  points, with its bound of 95 %. More than noise means that the right rule undoes them.
"""


def profile_section(files: list[Path]) -> list[str]:
    """The section, if one of the report files is of the full plan's data set."""
    plan = full_plan()
    file = next((file for file in files if file.stem == f"redteam-{plan.dataset}"), None)
    if file is None:
        return []
    rows = json.loads(file.read_text())
    by_profile = _by_profile(standings(rows), plan)
    undefended = by_profile[Profile.OBSERVE]
    protectee = over_seeds({row["seed"]: row["protectee_accuracy"] for row in rows}.values())
    text = _TEXT.format(
        dataset=plan.dataset,
        queries=plan.queries,
        budget=plan.budget,
        seeds=len(plan.seeds),
        file=file.name,
        protectee=percent(protectee),
        past=undefended.curve[-1][0],
    )
    leaks = read_leaks(file.with_name(f"leak-{plan.dataset}.json"))
    cells = [
        [*_cells(profile, standing), leak_cell(leaks, standing.key)]
        for profile, standing in by_profile.items()
    ]
    return [text, table(_COLUMNS, cells), ""]


def _by_profile(all_standings: list[Standing], plan: Plan) -> dict[Profile, Standing]:
    """The standing of each profile in the main setting; under `observe`, of no defense.

    A thief gets the protectee's own answers from either. A profile that the run left out has none.
    """
    setting = {"queries": plan.queries, "pool": IN, "accounts": 1, "members": 1}
    main = [standing for standing in all_standings if setting.items() <= standing.key.items()]
    chosen: dict[Profile, Standing] = {}
    for profile in Profile:
        key: dict[str, object] = {
            "defense": QUEEN,
            "profile": profile.value,
            "budget": plan.budget,
            "breadth": BREADTH,
            "class_cap": CLASS_CAP,
        }
        if profile is Profile.OBSERVE:
            key = {"defense": none.DEFENSE.name}
        of_profile = [standing for standing in main if key.items() <= standing.key.items()]
        if of_profile:
            chosen[profile] = of_profile[0]
    return chosen


def _cells(profile: Profile, standing: Standing) -> list[str]:
    (_, fresh), (_, past) = standing.curve[0], standing.curve[-1]
    floors = [standing.figures[name] for name in ("clean_prefix_floor", "label_only_floor")]
    floor = max((floor for floor in floors if floor), key=lambda floor: floor.mean, default=None)
    return [
        f"`{profile}`",
        _SEES[profile],
        percent(fresh),
        f"{percent(past)} ({standing.honest_kind})",
        f"**{percent(standing.worst)}**",
        standing.worst_attack,
        percent(standing.plain),
        percent(None if profile is Profile.OBSERVE else floor),
    ]

"""The figures in sentences and tables of other pages: sentences with holes, filled from the files.

The words stand on the page, and once more here with `{}` for every figure. `make results` writes
the figures into the page, and a test fails where page and files disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from queen.defaults import BREADTH, PROFILE
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.honest.traffic import Kind
from queen.redteam.defenses import none
from queen.redteam.frontier.summary import Patience, Summary, summaries
from queen.redteam.plans.full import full_plan
from queen.redteam.plans.plan import MIXUP, OFF, SHIFT
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import Standing, over_seeds
from queen.results.files import learned_rows, red_team_file
from queen.results.opening import NOT_YET, Line, opening_lines
from queen.results.shortfalls import chosen_policy, standings_of_pools

README, DEFAULTS = "README.md", "docs/adr/0018-defaults.md"
_CELL, _FEW_WORDS = "([^|\n]+?)", r"(\S+?(?:\s+\S+?){0,3}?)"
"""A figure in a table, and in a sentence."""
_BREADTHS = (1, 5, BREADTH)
"""The lines of the table in the decision on the defaults."""


class Claim(NamedTuple):
    """Words on a page, a path below the root, with `{}` for each of its figures.

    `...` in the words of a table stands for cells that hold no figure.
    """

    page: str
    words: str
    figures: Sequence[str]

    @property
    def pattern(self) -> re.Pattern[str]:
        """The words, whatever figures they have, and wherever their lines break."""
        parts = re.split(r"(\{\}|\.\.\.)", self.words)
        is_table = self.words.startswith("|")
        forms = {"{}": _CELL if is_table else _FEW_WORDS, "...": "[^\n]*?"}
        texts = [forms.get(part) or r"\s+".join(map(re.escape, part.split(" "))) for part in parts]
        return re.compile("".join(texts))


def fill_figures(text: str, claims: Sequence[Claim]) -> str:
    """The text of a page with the figures of its claims.

    Raises ConfigError for a claim whose words the page lacks.
    """
    for claim in claims:
        match = claim.pattern.search(text)
        if match is None:
            raise ConfigError(
                f"{claim.page}: expected the words '{claim.words}', got a page without them; "
                "write them there, or change queen/results/claims.py"
            )
        for index in reversed(range(len(claim.figures))):
            start, end = match.span(index + 1)
            # A figure of several words may be broken into lines: that is no difference.
            if text[start:end].split() != claim.figures[index].split():
                text = text[:start] + claim.figures[index] + text[end:]
    return text


def all_claims(folder: Path) -> list[Claim]:
    """The claims of all pages, with the figures of the files in `folder`."""
    measured = _Measured.read(folder)
    return [*_profiles(measured), *_limits(measured), *_defaults(measured)]


@dataclass(frozen=True)
class _Measured:
    """The rows of the full plan as standings, by profile; the rows of the frontier.

    `whole` are the profiles that met every attack that the plan has against them, and `pools` the
    best copies that the default left to thieves with other images.
    """

    standings: dict[Profile, Standing | None]
    whole: set[Profile]
    protectee: float | None
    pools: dict[str, float]
    frontier: list[Row]
    policies: list[Summary]

    @classmethod
    def read(cls, folder: Path) -> _Measured:
        plan = full_plan()
        rows = learned_rows(red_team_file(folder, plan.dataset))
        lines = opening_lines(plan, rows)
        of_profiles: dict[Profile, Line] = {}
        for line in lines:
            if line.key["profile"] is not None or line.key["defense"] == none.DEFENSE.name:
                profile = Profile(line.key["profile"] or Profile.OBSERVE)
                # The first line is at the default policy; `paper` has one as published, too.
                of_profiles.setdefault(profile, line)
        standings = {profile: line.standing for profile, line in of_profiles.items()}
        whole = {profile for profile, line in of_profiles.items() if line.is_whole}
        undefended = standings[Profile.OBSERVE]
        model = undefended.figures["protectee_accuracy"] if undefended else None
        frontier = learned_rows(folder / f"frontier-{plan.dataset}.json")
        pools = {line.key["pool"]: line.worst.mean for line in standings_of_pools(plan, rows)}
        policies = summaries(frontier)
        return cls(standings, whole, model.mean if model else None, pools, frontier, policies)

    @property
    def undefended(self) -> float | None:
        """The plain copy of all clean answers."""
        standing = self.standings[Profile.OBSERVE]
        return standing.plain.mean if standing and standing.plain else None

    def seeds(self) -> str:
        """The numbers of seeds behind the profiles that are measured."""
        counts = {line.worst.seeds for line in self.standings.values() if line is not None}
        if not counts:
            return "no seed"
        low, high = min(counts), max(counts)
        if low < high:
            return f"{low} to {high} seeds"
        return "one seed" if high == 1 else f"{high} seeds"

    def thief(self, breadth: int, thief: str) -> tuple[float | None, float | None]:
        """Clean answers and copy of a thief with one account, without a cap; means over seeds."""
        rows = [
            row
            for row in self.frontier
            if (row["breadth"], row["class_cap"], row["accounts"]) == (breadth, None, 1)
            and row.get("thief") == thief
            and row["copy"] is not None
        ]
        clean, copy = (over_seeds(row[name] for row in rows) for name in ("clean", "copy"))
        return clean.mean if clean else None, copy.mean if copy else None


def _profiles(measured: _Measured) -> Iterator[Claim]:
    """The table of profiles, and what it says of the measurement."""
    for profile in Profile:
        standing = measured.standings.get(profile)
        copy = _share(standing.worst.mean if standing else None)
        if standing and profile not in measured.whole:
            copy = f"at least {copy}"
        yield Claim(README, f"| `{profile}` |...| {{}} |...|", [copy])
    yield Claim(
        README,
        "attacks made of a Fashion-MNIST classifier of {}, with 20,000 queries of one account, "
        "at the default budget and breadth; means over {}.",
        [_share(measured.protectee), measured.seeds()],
    )


def _limits(measured: _Measured) -> Iterator[Claim]:
    """The limits of the defense in the README."""
    default = measured.standings[PROFILE]
    floor = default.figures["clean_prefix_floor"] if default else None
    yield Claim(
        README,
        "The best attack makes a copy of {} of them, a plain copy of the same answers has {}. "
        "Mixed, shifted and other images, refused after some tens of queries, make copies of {}, "
        "{} and {}, where a guess has 10 %.",
        [
            _percent_words(default.worst.mean if default else None),
            _percent_words(floor.mean if floor else None),
            *(_share(measured.pools.get(pool)) for pool in (MIXUP, SHIFT, OFF)),
        ],
    )
    clean, copy = measured.thief(BREADTH, "even")
    yield Claim(
        README,
        "an easy data set, the {} answers of the default make a copy of {}, where all 20,000 make "
        "one of {}:",
        [_about(clean), _share(copy), _share(measured.undefended)],
    )
    chosen = chosen_policy(measured.policies)
    kinds = chosen.kinds if chosen else {}
    even = kinds.get(Kind.EVEN.value)
    yield Claim(
        README,
        "and is refused after about {} queries. Of accounts that ask about four classes of ten "
        "alone, {} are over",
        [_about(even.median if even else None), _in_100(kinds, Kind.FOUR_CLASSES)],
    )
    yield Claim(
        README,
        "of those that ask about one or two, {}.",
        [_in_100(kinds, Kind.ONE_CLASS, Kind.TWO_CLASSES)],
    )
    worst = chosen.worst.get(3) if chosen else None
    yield Claim(
        README,
        "Three accounts that share the classes among them get a copy of {},",
        [_share(worst.copy.mean if worst else None)],
    )


def _defaults(measured: _Measured) -> Iterator[Claim]:
    """The table of breadths in the decision on the defaults."""
    for breadth in _BREADTHS:
        clean, even = measured.thief(breadth, "even")
        _, hoarding = measured.thief(breadth, "hoarding")
        policies = [
            line for line in measured.policies if (line.breadth, line.class_cap) == (breadth, None)
        ]
        kinds = policies[0].kinds if policies else {}
        yield Claim(
            DEFAULTS,
            f"| {breadth} |{' {} |' * 7}",
            [
                NOT_YET if clean is None else f"{clean:,.0f}",
                _percent(even),
                _percent(hoarding),
                _when_over(kinds, Kind.ONE_CLASS, Kind.TWO_CLASSES),
                _when_over(kinds, Kind.FOUR_CLASSES),
                _median(kinds.get(Kind.ZIPF.value)),
                _when_over(kinds, Kind.REPEATED),
            ],
        )
    yield Claim(
        DEFAULTS, "A copy of all 20,000 answers has {}. The", [_percent(measured.undefended)]
    )


def _share(share: float | None) -> str:
    return NOT_YET if share is None else f"{100 * share:.0f} %"


def _percent(share: float | None) -> str:
    return NOT_YET if share is None else f"{100 * share:.1f}"


def _percent_words(share: float | None) -> str:
    """A share to a tenth of a percent, where differences of a point matter."""
    return NOT_YET if share is None else f"{100 * share:.1f} %"


def _about(count: float | None) -> str:
    """A count to two digits."""
    return NOT_YET if count is None else f"{float(f'{count:.1e}'):,.0f}"


def _median(kind: Patience | None) -> str:
    if kind is None:
        return NOT_YET
    return "never" if kind.median is None else f"{kind.median:,.0f}"


def _in_100(kinds: dict[str, Patience], *asked: Kind) -> str:
    known = [kinds[kind.value].over for kind in asked if kind.value in kinds]
    if not known:
        return NOT_YET
    return f"{100 * mean(known):.0f} in 100" if max(known) > 0 else "none"


def _when_over(kinds: dict[str, Patience], *asked: Kind) -> str:
    """The first accounts that are over, or how many of 1,000 where not all are."""
    known = [kinds[kind.value] for kind in asked if kind.value in kinds]
    if not known:
        return NOT_YET
    if max(kind.over for kind in known) == 0:
        return "never over"
    if min(kind.over for kind in known) < 1:
        return f"{1000 * mean(kind.over for kind in known):.0f} of 1,000 over"
    return f"over after {' and '.join(f'{kind.earliest:,}' for kind in known)}"

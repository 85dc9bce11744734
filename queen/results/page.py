"""Makes the page docs/results.md, section by section, so that no figure is typed by hand."""

from __future__ import annotations

from pathlib import Path

from queen.results.accounts import honest_section, links_section
from queen.results.benches import (
    method_section,
    serve_section,
    state_section,
    times_section,
)
from queen.results.demo import demo_section
from queen.results.files import read_content
from queen.results.frontier import draw_frontiers, frontier_section
from queen.results.leak import leak_section
from queen.results.opening import draw_openings, opening_section
from queen.results.redteam import redteam_section
from queen.results.secrecy import draw_secrecy, secrecy_section
from queen.results.shortfalls import shortfall_section
from queen.results.siege import siege_section

_INTRO = """# Results

Made by `make results` from `docs/results/*.json`; every section names the command that gave its
figures. Accuracies are on the test set, in percent.
"""
_BENCHES = {
    "serve": serve_section,
    "leak": times_section,
    "method": method_section,
    "state": state_section,
    "siege": siege_section,
}


def render_results(folder: Path) -> str:
    """The page, from the files in `folder`; sections without files are left out."""
    benches = {folder / f"bench-{name}.json": section for name, section in _BENCHES.items()}
    return "\n".join(
        [
            _INTRO,
            *opening_section(folder),
            *shortfall_section(folder),
            *redteam_section(sorted(folder.glob("redteam-*.json"))),
            *leak_section(sorted(folder.glob("leak-*.json"))),
            *secrecy_section(sorted(folder.glob("secrecy-*.json"))),
            *frontier_section(sorted(folder.glob("frontier-*.json"))),
            *honest_section(sorted(folder.glob("honest-*.json"))),
            *demo_section(sorted(folder.glob("demo-*.json"))),
            *links_section(sorted(folder.glob("links-*.json"))),
            *(
                line
                for file, section in benches.items()
                if file.is_file()
                for line in section(read_content(file))
            ),
        ]
    )


def draw_pictures(folder: Path) -> None:
    """Write the pictures of the page into `folder`, beside the files that they show."""
    draw_openings(folder)
    draw_frontiers(folder)
    for file in folder.glob("secrecy-*.json"):
        draw_secrecy(file)

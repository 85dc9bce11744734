"""Makes the page docs/results.md, section by section, so that no figure is typed by hand."""

from __future__ import annotations

from pathlib import Path

from queen.results.accounts import honest_section, links_section
from queen.results.benches import method_section, serve_section
from queen.results.demo import demo_section
from queen.results.files import read_content
from queen.results.frontier import frontier_section
from queen.results.leak import leak_section
from queen.results.profiles import profile_section
from queen.results.redteam import redteam_section
from queen.results.secrecy import secrecy_section
from queen.results.state import state_section

_INTRO = """# Results

Made by `make results` from `docs/results/*.json`; every section names the command that gave its
figures. Accuracies are on the test set, in percent.
"""


def render_results(folder: Path) -> str:
    """The page, from the files in `folder`; sections without files are left out."""
    attacked = sorted(folder.glob("redteam-*.json"))
    state = folder / "bench-state.json"
    return "\n".join(
        [
            _INTRO,
            *profile_section(attacked),
            *demo_section(sorted(folder.glob("demo-*.json"))),
            *redteam_section(attacked),
            *leak_section(sorted(folder.glob("leak-*.json"))),
            *secrecy_section(sorted(folder.glob("secrecy-*.json"))),
            *frontier_section(sorted(folder.glob("frontier-*.json"))),
            *honest_section(sorted(folder.glob("honest-*.json"))),
            *links_section(sorted(folder.glob("links-*.json"))),
            *serve_section(read_content(folder / "bench-serve.json")),
            *method_section(read_content(folder / "bench-method.json")),
            *(state_section(read_content(state)) if state.exists() else []),
        ]
    )

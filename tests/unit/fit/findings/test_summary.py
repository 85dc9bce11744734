from pathlib import Path

from rich.console import Console

from queen.bundle import MeterSpec
from queen.fit.findings.coverage import ClassCoverage
from queen.fit.findings.profile_prices import ProfilePrice
from queen.fit.findings.summary import print_outcome
from queen.fit.outcome import FitOutcome, FitReport
from tests.unit.bundle.made import manifest

REPORT = FitReport(
    seed=0,
    samples=1200,
    protectee={"accuracy": 0.97, "features_tensor": "f"},
    mapping={
        "separability": {"training": 0.98, "held_out": 0.95},
        "inside": {"training": 0.6, "held_out": 0.55},
    },
    shadows={
        "count": 2,
        "architecture": "head",
        "on": "features",
        "steps": 40,
        "accuracy": 0.6,
        "flip_rate": 0.93,
    },
    off_distribution={"false_flags": {"1000": 0.0002, "10000": 0.001}},
    largest_budget=4000,
    classes=[ClassCoverage(name, 400, 400, 0.6, 90, 0.02, 1.0) for name in ("cat", "dog", "bird")],
)
METER = MeterSpec(rise=1.5, fall=0.25, limit=10.0, false_flags={"1000": 0.0002, "10000": 0.001})
VOLUMES = {"even": 1234, "one class": None}
OUTCOME = FitOutcome(
    *(Path("bundle"), manifest(meter=METER, digest="5e" * 32), REPORT, 10, [0.01] * 3, VOLUMES),
    prices=[
        ProfilePrice("observe", 0.0, 0.0, 0.0, 0.961),
        ProfilePrice("strict", 0.9, 1.75, 0.0, 0.382),
    ],
    seconds={"measure": 2.0},
)


def _printed(outcome: FitOutcome) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        print_outcome(outcome, console)
    return capture.get()


def test_the_price_of_a_profile_is_printed() -> None:
    """One line a profile, beside the copy that a thief is left with."""
    lines = [line for line in _printed(OUTCOME).splitlines() if "strict" in line]
    assert len(lines) == 1
    for figure in ("90.0%", "0.00", "1.75", "38.2%"):
        assert figure in lines[0]


def test_false_flags_are_told() -> None:
    """Accounts that the meter flags for nothing."""
    printed = _printed(OUTCOME)
    for words in ("0.02% of honest accounts", "0.10% within 10,000"):
        assert words in printed


def test_every_kind_of_honest_traffic_has_its_volume() -> None:
    """Queries within the budget; a kind that is never over is told so."""
    lines = _printed(OUTCOME).splitlines()
    assert any("even" in line and "about 1,234" in line for line in lines)
    assert any("one class" in line and "over 10,000" in line for line in lines)

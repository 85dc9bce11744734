import json

import pytest
from click.testing import CliRunner

from queen.bundle import InputRange
from queen.cli import main
from tests.bundles import make_bundle, with_input_range


@pytest.fixture
def bundle(tmp_path):
    """A bundle as `queen fit` would write it."""
    return make_bundle(tmp_path / "bundle").path


def run(*argv):
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in argv])


def test_inspect_gives_thresholds_and_says_when_the_budget_does_not_fit(bundle):
    """The JSON holds T per class, null above the largest budget; the table prints."""
    document = json.loads(run("inspect", bundle, "--json", "--budget", "10").stdout)
    assert all(entry["threshold"] > 0 for entry in document["classes"])
    too_much = document["largest_budget"] + 1
    over = json.loads(run("inspect", bundle, "--json", "--budget", too_much).stdout)
    assert {entry["threshold"] for entry in over["classes"]} == {None}
    assert "too high" in run("inspect", bundle, "--budget", too_much).stdout


def test_inspect_tells_the_range_of_the_inputs(tmp_path):
    """In words and in the JSON; a bundle may have none."""
    small = make_bundle(tmp_path / "bounded")
    assert "without bounds" in run("inspect", small.path).stdout
    with_input_range(small, InputRange(low=[-20.0], high=[20.0], tolerance=0.5))
    assert "from -20 to 20" in run("inspect", small.path).stdout
    model = json.loads(run("inspect", small.path, "--json").stdout)["model"]
    assert model["input_range"]["high"] == [20.0]

import json

import pytest
from click.testing import CliRunner

from queen.cli import main
from queen.serving.auth import key_digest
from tests.bundles import make_bundle
from tests.unit.cli.accounts.admin_port import run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b")


def test_accounts_are_measured_against_the_budgets_of_the_file(port, tmp_path):
    """The budgets go with the request; without an account there is a sentence."""
    file = tmp_path / "accounts.yaml"
    entry = {"id": "acme", "key_sha256": key_digest("a"), "budget": 9}
    file.write_text(json.dumps({"accounts": [entry]}))
    ran = run(port, "list", "--accounts", str(file))
    assert "acme" in ran.stdout
    assert [(own.account_id, own.budget) for own in port.requests[0].budgets] == [("acme", 9)]
    run(port, "show", "acme", "--accounts", str(file))
    assert port.requests[-1].budget == 9
    port.has_accounts = False
    assert "no account has a ledger yet" in run(port, "list").stderr


def test_classes_have_the_names_of_the_bundle_and_a_picture(port, bundle, tmp_path):
    """The bundle must be the one in service."""
    port.bundle_digest = bundle.manifest.digest
    plot = tmp_path / "acme.png"
    ran = run(port, "show", "acme", "--bundle", str(bundle.path), "--plot", str(plot))
    assert ran.exit_code == 0, ran.output
    assert f"1 {bundle.manifest.class_names[1]}" in ran.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_another_bundle_than_the_one_in_service_is_refused(port, bundle):
    """Its regions are others."""
    words = ["show", "acme", "--bundle", str(bundle.path), "--admin", port.address]
    ran = CliRunner().invoke(main, ["accounts", *words])
    assert ran.exit_code == 1
    assert "the one in service" in " ".join(ran.stderr.split())


def test_a_picture_needs_a_bundle(port, tmp_path):
    """Without a deployment of `queen up` it has to be given."""
    words = ["--plot", str(tmp_path / "p.png"), "--state", str(tmp_path)]
    ran = CliRunner().invoke(main, ["accounts", "show", "acme", *words, "--admin", port.address])
    assert ran.exit_code == 1
    assert "Give --bundle" in ran.stderr

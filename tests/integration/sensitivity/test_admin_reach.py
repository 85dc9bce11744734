"""The admin port that `queen accounts` asks where a deployment has several replicas."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from queen.cli.accounts.command import command
from tests.integration.inference.door import NOWHERE
from tests.integration.sensitivity.calls import small_bundle, small_service
from tests.operators import ANA


def run(state: Path, *admins: str) -> tuple[int, str]:
    """Exit code and output of `queen accounts list` with these admin ports in up.json."""
    state.mkdir(exist_ok=True)
    published = {f"sensitivity-{number}": address for number, address in enumerate(admins)}
    (state / "up.json").write_text(json.dumps({"admins": published}))
    (state / "operator.key").write_text(f"{ANA}\n")
    result = CliRunner().invoke(command, ["list", "--state", str(state)])
    return result.exit_code, result.output


def test_a_replica_that_is_away_is_passed_over(tmp_path: Path) -> None:
    """The next one answers for all ledgers; with none left, the sentence says where it looked."""
    with small_service(small_bundle(tmp_path), tmp_path) as service:
        admin = service.process.addresses["admin"]
        code, said = run(tmp_path / "state", NOWHERE, admin)
        assert (code, "no account has a ledger yet" in said) == (0, True), said
    code, said = run(tmp_path / "state", NOWHERE, "127.0.0.1:2")
    assert code == 1
    assert f"nothing answers at {NOWHERE}" in said


def test_a_deployment_without_an_admin_port_is_a_sentence(tmp_path: Path) -> None:
    """It asks for the flag that is missing."""
    code, said = run(tmp_path / "state")
    assert (code, "Give --admin HOST:PORT" in said or said == "") == (1, True), said

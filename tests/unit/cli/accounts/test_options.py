import getpass

import click
import pytest
from click.testing import CliRunner

from queen.cli.accounts.admin_values import Mandate
from queen.cli.accounts.options import mandate_options


@click.command()
@mandate_options
def show_mandate(mandate: Mandate) -> None:
    """Print the mandate."""
    click.echo(f"{mandate.actor!r} {mandate.reason!r}")


def test_the_actor_is_the_systems_user_if_none_is_named(monkeypatch):
    """A system without a name for the user has an empty actor, which the service refuses."""
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    assert CliRunner().invoke(show_mandate, ["--reason", "r"]).output == "'ana' 'r'\n"

    def fail() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", fail)
    assert CliRunner().invoke(show_mandate, ["--reason", "r"]).output == "'' 'r'\n"


@pytest.mark.parametrize("words", [[], ["--actor", "bo"]])
def test_a_reason_is_required(words):
    """An actor alone is no mandate."""
    ran = CliRunner().invoke(show_mandate, words)
    assert ran.exit_code == 2
    assert "--reason" in ran.stderr

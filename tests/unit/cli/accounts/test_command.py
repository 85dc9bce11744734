from click.testing import CliRunner

from queen.cli.accounts.command import command


def test_every_command_has_a_help_text():
    """The group lists all of them, and each says what it does."""
    ran = CliRunner().invoke(command, ["--help"])
    assert len(command.commands) == 13
    for name, subcommand in command.commands.items():
        assert name in ran.output
        assert subcommand.help

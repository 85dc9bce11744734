from queen.cli.check.finding import Finding, examine
from queen.errors import ConfigError


def test_a_check_that_passes_has_a_note() -> None:
    """The words that it returns."""
    assert examine("accounts", lambda: "2 listed") == Finding("accounts", None, "2 listed")


def test_a_check_that_fails_has_a_problem() -> None:
    """The words of the error."""

    def fail() -> str:
        raise ConfigError("the port is no number")

    assert examine("settings", fail) == Finding("settings", "the port is no number")

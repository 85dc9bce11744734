"""The command `queen check`: which checks a path gets, and how their results are shown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from queen.cli.check.bundle_checks import check_bundle
from queen.cli.check.finding import Finding, examine
from queen.cli.up.plan import SERVICES, settings_of
from queen.errors import ConfigError
from queen.printable import printable
from queen.serving.accounts import read_accounts
from queen.serving.identity.lookalikes import look_alikes
from queen.serving.settings_sources import validate_settings_file
from queen.serving.yaml_file import read_yaml


@click.command(
    epilog="""\b
Examples:
  queen check bundle
  queen check accounts.yaml
  queen check inference.yaml --service inference
"""
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--service",
    type=click.Choice(sorted(SERVICES)),
    help="Service whose settings PATH holds; needed for a settings file only.",
)
@click.pass_context
def command(ctx: click.Context, path: Path, service: str | None) -> None:
    """Say what is wrong with PATH: a bundle, an accounts file, or settings of a service.

    The exit code is 0 if nothing is wrong, else 1.
    """
    is_sound = report(find_problems(path, service))
    ctx.exit(0 if is_sound else 1)


def find_problems(path: Path, service: str | None) -> Iterable[Finding]:
    """Findings of the checks for a file or folder like `path`; ConfigError if none fits."""
    if service is not None:
        return [examine(f"settings of {service}", lambda: _check_settings(path, service))]
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder")
    if path.is_dir():
        return check_bundle(path)
    if path.suffix.lower() == ".onnx":
        raise ConfigError(f"{path}: a model is not a bundle yet; make one with `queen fit`")
    content = read_yaml(path)
    if isinstance(content, dict) and isinstance(content.get("accounts"), str):
        raise ConfigError(f"{path}: looks like settings of the front door; add --service inference")
    if isinstance(content, dict) and "accounts" not in content:
        raise ConfigError(f"{path}: settings of which service? Add --service {'|'.join(SERVICES)}")
    return [examine("accounts", lambda: _check_accounts(path))]


def report(findings: Iterable[Finding]) -> bool:
    """Print the findings as they come; whether there is no problem."""
    is_sound = True
    for finding in findings:
        if finding.problem is None:
            note = f" ({finding.note})" if finding.note else ""
            click.echo(f"{click.style('ok', fg='green')}    {finding.subject}{note}")
        else:
            is_sound = False
            click.echo(
                f"{click.style('wrong', fg='red')} {finding.subject}: {finding.problem}", err=True
            )
    return is_sound


def _check_accounts(path: Path) -> str:
    accounts = read_accounts(path)
    note = f"{len(accounts.accounts)} listed"
    for names in look_alikes(accounts.group_names):
        listed = ", ".join(f"'{printable(name)}'" for name in names)
        note += f"; groups that look alike and share no budget: {listed}"
    return note


def _check_settings(path: Path, service: str) -> str:
    validate_settings_file(settings_of(service), path)
    return ""

"""`queen check`: says what is wrong, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from queen.cli.bundle_checks import Finding, check_bundle
from queen.cli.up.plan import SERVICES, SETTINGS
from queen.errors import ConfigError, QueenError
from queen.serving.accounts import read_accounts
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
    help="Whose settings PATH holds; needed for a settings file only.",
)
@click.pass_context
def command(ctx: click.Context, path: Path, service: str | None) -> None:
    """Say what is wrong with PATH: a bundle, an accounts file, or settings of a service.

    Exit code 0 if nothing is, 1 otherwise.
    """
    is_sound = report(findings(path, service))
    ctx.exit(0 if is_sound else 1)


def findings(path: Path, service: str | None) -> Iterable[Finding]:
    """The checks that fit what `path` is; ConfigError if that cannot be told."""
    if service is not None:
        return [_looked(f"settings of {service}", lambda: _check_settings(path, service))]
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
    return [_looked("accounts", lambda: f"{len(read_accounts(path).accounts)} listed")]


def report(found: Iterable[Finding]) -> bool:
    """Print the findings as they come; whether all is well."""
    is_sound = True
    for finding in found:
        if finding.problem is None:
            note = f" ({finding.note})" if finding.note else ""
            click.echo(f"{click.style('ok', fg='green')}    {finding.subject}{note}")
        else:
            is_sound = False
            click.echo(
                f"{click.style('wrong', fg='red')} {finding.subject}: {finding.problem}", err=True
            )
    return is_sound


def _looked(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, None, look())
    except QueenError as error:
        return Finding(subject, str(error))


def _check_settings(path: Path, service: str) -> str:
    validate_settings_file(SETTINGS[service], path)
    return ""

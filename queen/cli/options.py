"""Options that several commands share, with the same names, bounds and folders."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from queen.cli.class_cap import ClassCapType
from queen.defaults import BREADTH, BUDGET, CHARGE, CLASS_CAP, PROFILE
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.crossing import cap_text
from queen.method.sensitivity import Charge
from queen.serving.ports.pem import PemFiles

Command = TypeVar("Command", bound=Callable[..., Any])

NETWORKS = "Folder of trained networks and fitted bundles."
DATA_SET = "Folder of the data set's files, or of folders of that name."

seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
breadth = click.option("--breadth", type=click.IntRange(min=1), default=BREADTH, show_default=True)
class_cap = click.option(
    "--class-cap", type=ClassCapType(), default=cap_text(CLASS_CAP), show_default=True
)
profile = click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=PROFILE.value,
    show_default=True,
)
charge = click.option(
    "--charge",
    type=click.Choice([charge.value for charge in Charge]),
    default=CHARGE.value,
    show_default=True,
    help="Charge novel queries inside of the regions, or all.",
)


def budget(text: str | None = None) -> Callable[[Command], Command]:
    """A `--budget` with the default of an operator who states none; `text` is its help."""
    return click.option(
        "--budget", type=click.IntRange(min=1), default=BUDGET, show_default=True, help=text
    )


def accounts(default: int, fewest: int = 1) -> Callable[[Command], Command]:
    """An `--accounts` of at least `fewest`."""
    return click.option(
        "--accounts", type=click.IntRange(min=fewest), default=default, show_default=True
    )


def queries(default: int, fewest: int = 1) -> Callable[[Command], Command]:
    """A `--queries` of at least `fewest`."""
    return click.option(
        "--queries", type=click.IntRange(min=fewest), default=default, show_default=True
    )


def seeds(*default: int) -> Callable[[Command], Command]:
    """A `--seeds` that may be repeated; without a default, the command chooses them."""
    return click.option(
        "--seeds",
        type=click.IntRange(0),
        multiple=True,
        default=default,
        show_default=bool(default),
        help="Seeds; may be repeated.",
    )


def cache(text: str = NETWORKS) -> Callable[[Command], Command]:
    """The `--cache` that all commands on protectees of the red team share."""
    return click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("build/redteam/cache"),
        show_default=True,
        help=text,
    )


def data_dir(text: str = DATA_SET) -> Callable[[Command], Command]:
    """A `--data-dir`, a folder that exists."""
    return click.option(
        "--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help=text
    )


def out(text: str, default: Path | None = None) -> Callable[[Command], Command]:
    """An `--out`, a folder; without a default, the command chooses it."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=default,
        show_default=default is not None,
        help=text,
    )


def tls(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a TLS connection; the command gets them as `tls`, None for plaintext."""
    pem = click.Path(exists=True, dir_okay=False, path_type=Path)

    @click.option("--tls-ca", type=pem, help="PEM file of the authorities to trust: use TLS.")
    @click.option("--tls-cert", type=pem, help="PEM file of a certificate to show.")
    @click.option("--tls-key", type=pem, help="PEM file of that certificate's key.")
    @functools.wraps(function)
    def command(
        *args: Any, tls_ca: Path | None, tls_cert: Path | None, tls_key: Path | None, **rest: Any
    ) -> Any:
        if (tls_cert is None) != (tls_key is None) or (tls_cert and tls_ca is None):
            raise ConfigError("expected --tls-ca, alone or with both --tls-cert and --tls-key")
        files = PemFiles(tls_cert, tls_key, tls_ca) if tls_ca else None
        return function(*args, tls=files, **rest)

    return command

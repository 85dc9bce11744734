"""The command `queen up`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from queen.cli.class_cap import ClassCapType
from queen.cli.state import DEFAULT_STATE
from queen.cli.up.preparation import prepared
from queen.cli.up.running import serve
from queen.defaults import BREADTH, BUDGET, CLASS_CAP, PROFILE
from queen.method.contracts import Profile
from queen.method.crossing import cap_text
from queen.serving.settings import holds_password

STATE_VARIABLE = "QUEEN_STATE"


def require_no_password(context: click.Context, option: click.Parameter, given: str) -> str:
    """The state; UsageError for one with a password that stands on the command line."""
    source = context.get_parameter_source(option.name or "")
    if source is ParameterSource.COMMANDLINE and holds_password(given):
        raise click.UsageError(
            "--state: expected no password on the command line, which every user of this machine "
            f"can read; give the URL in the variable {STATE_VARIABLE}, or its password in "
            "QUEEN_SENSITIVITY_REDIS_PASSWORD_FILE"
        )
    return given


@click.command(
    epilog="""\b
Examples:
  queen up --bundle bundle
  queen up --bundle bundle --accounts accounts.yaml --budget 300 --profile safe
  queen up --bundle bundle --port 0 --state /var/lib/queen
  queen up --bundle bundle --state redis://127.0.0.1:6379 --replicas 3

Without --accounts an account `local` is made, with its key in STATE/local.key, where
`queen query` finds it. Settings of a service that have no flag here are read from the
environment: QUEEN_INFERENCE_THREADS=4, for instance. A URL of --state that holds a password is
given in QUEEN_STATE, since every user of a machine can read its command lines.
"""
)
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="Bundle to serve.")
@click.option("--accounts", type=click.Path(path_type=Path), help="Accounts file, accounts.yaml.")
@click.option(
    "--state",
    envvar=STATE_VARIABLE,
    callback=require_no_password,
    type=str,
    default=str(DEFAULT_STATE),
    show_default=True,
    help="Folder of ledgers, secret, keys and logs; or a Redis for the ledgers, redis://HOST:6379, "
    f"with the rest in {DEFAULT_STATE}.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes of the sensitivity service; several need --state redis://...",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8001,
    show_default=True,
    help="Port to listen on; 0 chooses a free port.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(-1, 65535),
    default=0,
    show_default=True,
    help="Port of the front door's metrics; 0 chooses a free port, -1 serves none.",
)
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=PROFILE.value,
    show_default=True,
    help="How flagged queries are answered, for accounts that name no profile.",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=BUDGET,
    show_default=True,
    help="Distinct sensitive queries of a class before it is crossed.",
)
@click.option(
    "--breadth",
    type=click.IntRange(min=1),
    default=BREADTH,
    show_default=True,
    help="Crossed classes at which an account is over its budget, at most half of all.",
)
@click.option(
    "--class-cap",
    type=ClassCapType(),
    default=cap_text(CLASS_CAP),
    show_default=True,
    help="Budgets of one class at which an account is over as well, or off.",
)
@click.option(
    "--failure-mode",
    type=click.Choice(["protect", "deny", "allow"]),
    default="protect",
    show_default=True,
    help="Answer while the sensitivity service is out of reach: label only, none, or clean.",
)
@click.option(
    "--allow-clean-answers",
    is_flag=True,
    help="Must be given with --failure-mode allow: clean probabilities leave the door then.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device of the shadow models.",
)
def command(bundle: Path, accounts: Path | None, state: str, **asked: Any) -> None:
    """Serve a bundle: three services on this machine, behind one port.

    Prints `ready HOST:PORT` once all serve. A process that dies is started again. SIGINT
    and SIGTERM stop all of them, and requests in flight are answered first.
    """
    with prepared(bundle, accounts, state, asked) as plan:
        serve(plan)

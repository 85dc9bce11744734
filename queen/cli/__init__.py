"""The command line: one lazy group, so that `queen query` never loads Torch."""

from __future__ import annotations

import click

from queen import __version__
from queen.cli.lazy import LazyCommand, LazyGroup

_COMMANDS = (
    LazyCommand("demo", "Fit, serve, attack and defend a small classifier.", "demo"),
    LazyCommand("fit", "Fit the defense to a classifier of your own.", "fit"),
    LazyCommand("inspect", "Show what is in a bundle."),
    LazyCommand("check", "Say what is wrong with a bundle or settings.", "demo", room="check"),
    LazyCommand("up", "Serve a bundle: three services on this machine.", "up", room="up"),
    LazyCommand("query", "Send samples to a server and show its answers.", room="query"),
    LazyCommand("redteam", "Attack a defense or your own endpoint, and report.", "demo"),
    LazyCommand("accounts", "Make accounts, show and change their ledgers.", room="accounts"),
    LazyCommand("replay", "Check a decision log: compute every verdict again."),
    LazyCommand("plan", "Say what other policies would have done to the accounts of a log."),
    LazyCommand("bench", "Measure what the defense costs.", "demo", room="bench"),
)


@click.group(
    cls=LazyGroup,
    lazy_commands=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
A first look:
  queen demo
Your own classifier:
  queen fit --model model.onnx --data train.npz --out bundle
  queen up --bundle bundle
  queen query --data train.npz --rows 0:4
""",
)
@click.version_option(__version__, prog_name="queen", message="%(prog)s %(version)s")
@click.option(
    "--debug",
    is_flag=True,
    envvar="QUEEN_DEBUG",
    help="Show the traceback of an error.  [env: QUEEN_DEBUG]",
)
def main(debug: bool) -> None:
    """Defend a classifier against model extraction by query unlearning."""


__all__ = ["main"]

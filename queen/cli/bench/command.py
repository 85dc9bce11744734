"""`queen bench`: measures what the defense costs."""

from __future__ import annotations

import click

from queen.cli.bench.charge import charge
from queen.cli.bench.fairness import fairness
from queen.cli.bench.frontier import frontier
from queen.cli.bench.honest import honest
from queen.cli.bench.leak import leak
from queen.cli.bench.links import links
from queen.cli.bench.meter import meter
from queen.cli.bench.method import method
from queen.cli.bench.secrecy import secrecy
from queen.cli.bench.serve import serve
from queen.cli.bench.state import state


@click.group()
def command() -> None:
    """Measure what the defense costs, as ratios in one run."""


for _command in (
    method,
    serve,
    leak,
    fairness,
    honest,
    frontier,
    links,
    charge,
    meter,
    state,
    secrecy,
):
    command.add_command(_command)

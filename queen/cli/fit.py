"""`queen fit`: fit the defense to the operator's classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from queen.defaults import BUDGET
from queen.fit import FitOptions, fit_bundle
from queen.fit.findings.summary import print_outcome
from queen.fit.options import AUTO_RANGE, NO_RANGE, InputRangeChoice
from queen.fit.training.shadows import SHADOW_RATE

_FILE = click.Path(dir_okay=False, path_type=Path)


class InputRangeType(click.ParamType[InputRangeChoice]):
    """The bounds of the inputs: `auto`, `off`, or two numbers LOW,HIGH."""

    name = "input range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> InputRangeChoice:
        """The choice; a usage error for another text."""
        if isinstance(value, tuple) or value in (AUTO_RANGE, NO_RANGE):
            choice: InputRangeChoice = value
            return choice
        try:
            low, high = (float(text) for text in value.split(","))
        except ValueError:
            self.fail(
                f"expected {AUTO_RANGE}, {NO_RANGE} or two numbers such as 0,1, got {value}",
                param,
                ctx,
            )
        return low, high

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        """The form of the value in the help."""
        return f"{AUTO_RANGE}|{NO_RANGE}|LOW,HIGH"


@click.command(
    "fit",
    epilog="""\b
A first fit, and one with shadows for a large model:
  queen fit --model model.onnx --data train.npz --out bundle
  queen fit --model model.onnx --data train.npz --out bundle --shadows-on features
""",
)
@click.option("--model", required=True, type=_FILE, help="The classifier, an ONNX file.")
@click.option(
    "--data",
    required=True,
    type=_FILE,
    help="Its training set: an npz file with x (N, ...) and y int64 (N,).",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write the bundle to.",
)
@click.option("--force", "replace", is_flag=True, help="Replace an earlier bundle.")
@click.option("--name", help="Name of the model that is served.  [default: the model file's stem]")
@click.option(
    "--features",
    default="auto",
    show_default=True,
    metavar="auto|TENSOR",
    help="Tensor that the logits are linear in; auto finds the input of the last Gemm or MatMul.",
)
@click.option(
    "--output",
    metavar="TENSOR",
    help="Tensor that holds the logits or probabilities.  [default: found]",
)
@click.option(
    "--class-names", metavar="FILE|LIST", help="A file with a class name a line, or a comma list."
)
@click.option(
    "--input-range",
    type=InputRangeType(),
    default=AUTO_RANGE,
    show_default=True,
    help="Bounds of the inputs' numbers, beyond which the front door refuses a request; auto finds "
    "those of images in the training set.",
)
@click.option(
    "--shadows-on",
    type=click.Choice(["inputs", "features"]),
    default="inputs",
    show_default=True,
    help="Input of the shadow models: the inputs, or the protectee's features (seconds to fit).",
)
@click.option("--shadows", default=10, show_default=True, help="Shadow models to train.")
@click.option(
    "--shadows-drawn", default=5, show_default=True, help="Shadow models drawn for an answer."
)
@click.option(
    "--shadow-flip-rate",
    default=0.9,
    show_default=True,
    help="Train shadows as long as the reversal still changes this share of the labels.",
)
@click.option(
    "--shadow-rate",
    default=SHADOW_RATE,
    show_default=True,
    help="Learning rate of the shadow models.",
)
@click.option("--shadow-epochs", type=int, help="Train every shadow for this many passes instead.")
@click.option(
    "--shadow-steps", type=int, help="Train every shadow for this many batches of 64 instead."
)
@click.option(
    "--false-flags",
    default=0.001,
    show_default=True,
    help="Share of honest accounts that the off-distribution meter may flag in 10,000 queries.",
)
@click.option(
    "--coverage-fraction",
    default=0.02,
    show_default=True,
    help="Share of a sensitive radius that a record covers.",
)
@click.option(
    "--budget",
    default=BUDGET,
    show_default=True,
    help="Budget to report on, in records of a class. The budget to enforce is a setting.",
)
@click.option("--embedding-width", default=2, show_default=True, help="Axes of the embedding.")
@click.option(
    "--mapping-loss",
    type=click.Choice(["distance", "cosine"]),
    default="distance",
    show_default=True,
    help="Similarity in the contrastive loss; the paper has cosine.",
)
@click.option(
    "--mapping-epochs",
    type=int,
    help="Passes the mapping network is trained for.  [default: about 1000 steps]",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bundle.")
def command(**given: Any) -> None:
    """Fit the defense to a classifier that you have, and write a bundle to serve."""
    console = Console()
    print_outcome(fit_bundle(FitOptions(**given), console), console)

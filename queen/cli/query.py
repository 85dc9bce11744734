"""`queen query`: samples to a server, answers to the terminal."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from queen.cli.private_files import read_key
from queen.cli.refusal import Refusal, rpc_sentence
from queen.cli.samples import Samples, read_samples
from queen.cli.state import DEFAULT_STATE, StateFolder
from queen.oip_client import Array, ModelDescription, OipClient

DEFAULT_ENDPOINT = "127.0.0.1:8001"
REQUEST_ROWS = 256
"""Queries in one request; more rows go in several."""
KEY_VARIABLE = "QUEEN_API_KEY"
SHOWN_CLASSES = 3
_NO_SUCH_MODEL = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


@dataclass(frozen=True)
class Target:
    """Whom to ask, for which model, as whom."""

    endpoint: str
    model: str
    key: str | None


@click.command(
    epilog="""\b
Examples:
  queen query --data test.npz
  queen query --data test.npz --rows 0:100:10 --json
  QUEEN_API_KEY=... queen query --endpoint models.example.com:8001 --model mnist --data x.npy

An .npz holds the inputs as `x` and perhaps the true classes as `y`. On the machine of
`queen up` neither endpoint nor key nor model need be given: they are in its state folder.
"""
)
@click.option("--endpoint", help=f"HOST:PORT.  [default: that of `queen up`, {DEFAULT_ENDPOINT}]")
@click.option("--key", help=f"Key of the account.  [env: {KEY_VARIABLE}]")
@click.option("--model", help="Name of the model.  [default: the one a Queen server serves]")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=DEFAULT_STATE,
    show_default=True,
    help="State folder of `queen up`.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Samples: .npz or .npy.",
)
@click.option("--rows", default="0:8", show_default=True, help="Which: 0:8, 5, 1,4,9 or all.")
@click.option("--top", type=click.IntRange(min=1), default=SHOWN_CLASSES, help="Classes to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all probabilities.")
@click.option("--typed", is_flag=True, help="Send typed contents instead of raw bytes.")
def command(
    endpoint: str | None,
    key: str | None,
    model: str | None,
    state: Path,
    data: Path,
    rows: str,
    top: int,
    as_json: bool,
    typed: bool,
) -> None:
    """Send samples to a server and show its answers.

    Speaks the Open Inference Protocol over gRPC, so it also asks servers of other makers.
    """
    samples = read_samples(data, rows)
    target = find_target(StateFolder(state), endpoint, model, key or os.environ.get(KEY_VARIABLE))
    try:
        with OipClient(target.endpoint, target.key) as client:
            described = _describe(client, target)
            answers = _ask(client, described, samples, typed=typed)
    except grpc.RpcError as error:
        raise Refusal(_rpc_words(error, target)) from error
    if as_json:
        click.echo(json.dumps(as_document(described, samples, answers), indent=2))
    else:
        Console().print(as_table(described, samples, answers, top))


def find_target(
    state: StateFolder, endpoint: str | None, model: str | None, key: str | None
) -> Target:
    """What the flags say, completed from the deployment of `state` where that is the one asked.

    Its key is sent nowhere else. Without a model, the server is asked which it serves.
    """
    local: dict[str, Any] = state.read_up() if state.up.exists() else {}
    address = endpoint or local.get("inference") or DEFAULT_ENDPOINT
    is_local = address == local.get("inference")
    if key is None and is_local and state.local_key.exists():
        key = read_key(state.local_key)
    return Target(address, model or "", key)


def _describe(client: OipClient, target: Target) -> ModelDescription:
    try:
        return client.describe(target.model)
    except grpc.RpcError as error:
        # An empty name is a question that only a Queen server understands.
        if target.model or error.code() not in _NO_SUCH_MODEL:
            raise
        raise Refusal(
            f"{target.endpoint} does not say which model it serves; give --model NAME"
        ) from error


def _ask(client: OipClient, model: ModelDescription, samples: Samples, *, typed: bool) -> Array:
    count = len(samples.inputs)
    parts = [
        client.infer(model, samples.inputs[start : start + REQUEST_ROWS], typed=typed)
        for start in range(0, count, REQUEST_ROWS)
    ]
    return np.concatenate(parts)


def _rpc_words(error: Any, target: Target) -> str:
    words = rpc_sentence(error)
    if error.code() is grpc.StatusCode.UNAVAILABLE and "connect" in (error.details() or ""):
        return f"nothing answers at {target.endpoint}; is `queen up` running there?"
    if error.code() is grpc.StatusCode.UNAUTHENTICATED and target.key is None:
        return f"{words}; give --key or {KEY_VARIABLE}"
    return words


def as_document(model: ModelDescription, samples: Samples, answers: Array) -> dict[str, Any]:
    """The answers for machines: one entry a row."""
    return {
        "model": model.name,
        "rows": [
            {
                "row": int(number),
                "label": int(answer.argmax()),
                **_named(model, int(answer.argmax())),
                "probabilities": answer.tolist(),
            }
            for number, answer in zip(samples.numbers, answers, strict=True)
        ],
    }


def as_table(model: ModelDescription, samples: Samples, answers: Array, top: int) -> Table:
    """The answers for people: label, name, the `top` likeliest classes, the truth if known."""
    truth = samples.labels
    table = Table(title=f"{model.name}: {len(answers)} answers", title_justify="left")
    table.add_column("row", justify="right", style="dim")
    table.add_column("answer", style="bold")
    if truth is not None:
        table.add_column("true")
    table.add_column("probability")
    table.add_column("likeliest classes", style="dim")
    for place, answer in enumerate(answers):
        label = int(answer.argmax())
        cells = [str(samples.numbers[place]), _title(model, label)]
        if truth is not None:
            cells.append(_truth_cell(model, int(truth[place]), label))
        cells += [_bar(float(answer[label])), _likeliest(model, answer, top)]
        table.add_row(*cells)
    if truth is not None:
        right = int((answers.argmax(axis=1) == truth).sum())
        table.caption = f"{right} of {len(answers)} answers are the true class"
    return table


def _named(model: ModelDescription, label: int) -> dict[str, str]:
    known = label < len(model.class_names)
    return {"class_name": model.class_names[label]} if known else {}


def _title(model: ModelDescription, label: int) -> str:
    name = _named(model, label).get("class_name", "")
    return f"{label} {name}" if name and name != str(label) else str(label)


def _truth_cell(model: ModelDescription, truth: int, label: int) -> str:
    return f"[{'green' if truth == label else 'red'}]{_title(model, truth)}[/]"


def _bar(share: float) -> str:
    return (
        f"{share:6.1%} [cyan]{'█' * round(12 * share)}[/][dim]{'░' * (12 - round(12 * share))}[/]"
    )


def _likeliest(model: ModelDescription, answer: Array, top: int) -> str:
    order = np.argsort(-answer, kind="stable")[:top]
    parts = [f"{_short_title(model, int(one))}\u00a0{answer[one]:.3f}" for one in order]
    return "  ".join(parts)


def _short_title(model: ModelDescription, label: int) -> str:
    return _named(model, label).get("class_name", str(label)).replace(" ", "\u00a0")

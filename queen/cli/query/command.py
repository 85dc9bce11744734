"""The command `queen query`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
from rich.console import Console

from queen.cli import options
from queen.cli.query.samples import Samples, read_samples
from queen.cli.query.target import DEFAULT_ENDPOINT, KEY_VARIABLE, Target, find_target, stated_key
from queen.cli.query.view import as_document, as_table
from queen.cli.refusal import Refusal, rpc_sentence
from queen.cli.state import DEFAULT_STATE, StateFolder
from queen.oip_client import Array, ModelDescription, OipClient
from queen.serving.ports.credentials import channel_credentials
from queen.serving.ports.pem import read_pems

REQUEST_ROWS = 256
"""Queries in a request; more rows are sent in several requests."""
SHOWN_CLASSES = 3
_NO_SUCH_MODEL = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


@click.command(
    epilog="""\b
Examples:
  queen query --data test.npz
  queen query --data test.npz --rows 0:100:10 --json
  queen query --endpoint models.example.com:8001 --model mnist --data x.npy --key-file acme.key

An .npz holds the inputs as `x` and perhaps the true classes as `y`. On the machine of
`queen up` neither endpoint nor key nor model need be given: they are in its state folder.
"""
)
@click.option("--endpoint", help=f"HOST:PORT.  [default: that of `queen up`, {DEFAULT_ENDPOINT}]")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File of the account's key.  [default: the variable {KEY_VARIABLE}]",
)
@click.option("--model", help="Name of the model.  [default: the model that a Queen server serves]")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=DEFAULT_STATE,
    show_default=True,
    callback=lambda _context, _option, path: StateFolder(path),
    help="State folder of `queen up`.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Samples: .npz or .npy.",
)
@click.option("--rows", default="0:8", show_default=True, help="Rows: 0:8, 5, 1,4,9 or all.")
@click.option("--top", type=click.IntRange(min=1), default=SHOWN_CLASSES, help="Classes to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all probabilities.")
@click.option("--typed", is_flag=True, help="Send typed contents instead of raw bytes.")
@options.tls
def command(data: Path, rows: str, top: int, as_json: bool, typed: bool, **asked: Any) -> None:
    """Send samples to a server and show its answers.

    Speaks the Open Inference Protocol over gRPC, so it also asks servers of other makers.
    """
    samples = read_samples(data, rows)
    key = stated_key(asked.pop("key_file"))
    target = find_target(**asked, key=key)
    credentials = channel_credentials(read_pems(target.tls)) if target.tls else None
    try:
        with OipClient(target.endpoint, target.key, credentials=credentials) as client:
            described = _describe(client, target)
            answers = _ask(client, described, samples, typed=typed)
    except grpc.RpcError as error:
        raise Refusal(_rpc_words(error, target)) from error
    if as_json:
        click.echo(json.dumps(as_document(described, samples, answers), indent=2))
    else:
        Console().print(as_table(described, samples, answers, top))


def _describe(client: OipClient, target: Target) -> ModelDescription:
    try:
        return client.describe(target.model)
    except grpc.RpcError as error:
        # Only a Queen server understands an empty name, as the question which model it serves.
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
        return f"{words}; give --key-file or {KEY_VARIABLE}"
    return words

"""`queen inspect`: the contents of a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from queen.bundle import Bundle, open_bundle
from queen.defaults import BUDGET
from queen.method.sensitivity import budget_thresholds, largest_budget, packing_limit


@click.command(
    epilog="""\b
Examples:
  queen inspect bundle
  queen inspect bundle --budget 300
  queen inspect bundle --json | jq .largest_budget
"""
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=BUDGET,
    show_default=True,
    help="Records of a class for which to show the thresholds T.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(bundle: Path, budget: int, as_json: bool) -> None:
    """Show the contents of BUNDLE: model, regions, shadows, fit report, files."""
    document = describe(open_bundle(bundle), budget)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        Console().print(render(document))


def describe(bundle: Bundle, budget: int) -> dict[str, Any]:
    """The contents of a bundle apart from its tensors, ready for JSON.

    `threshold` is null if `budget` is above the largest that the regions have room for.
    """
    manifest, geometry, bounds = bundle.manifest, bundle.geometry, bundle.manifest.input_range
    largest = largest_budget(geometry, bundle.mean_squared_sqs)
    fits = budget <= largest
    thresholds = budget_thresholds(geometry, bundle.mean_squared_sqs, budget) if fits else None
    return {
        "path": str(bundle.path),
        "digest": bundle.digest,
        "queen_version": manifest.queen_version,
        "schema_version": manifest.schema_version,
        "model": {
            "name": manifest.model_name,
            "input": manifest.input.model_dump(),
            "input_range": bounds and bounds.model_dump() | {"text": bounds.describe()},
            "classes": manifest.num_classes,
            "feature_width": manifest.feature_width,
            "embedding_width": manifest.embedding_width,
        },
        "geometry": manifest.geometry.model_dump()
        | {"packing_limit": packing_limit(geometry.alpha, geometry.embedding_width)},
        "budget": budget,
        "largest_budget": largest,
        "classes": [
            {
                "label": label,
                "name": name,
                "mean_radius": float(geometry.mean_radius[label]),
                "sensitive_radius": float(geometry.sensitive_radius[label]),
                "coverage_radius": float(geometry.coverage_radius[label]),
                "threshold": None if thresholds is None else float(thresholds[label]),
            }
            for label, name in enumerate(manifest.class_names)
        ],
        "shadows": manifest.shadows.model_dump(),
        "fit": manifest.fit,
        "files": [
            {"name": name, "bytes": (bundle.path / name).stat().st_size, "sha256": digest}
            for name, digest in manifest.files.items()
        ],
    }


def render(document: Mapping[str, Any]) -> RenderableType:
    """The document of `describe`, laid out for people."""
    parts: list[RenderableType] = [_summary(document), _classes(document)]
    if document["fit"]:
        parts += [_fit(document["fit"])]
    return Group(*_spaced([*parts, _files(document)]))


def _summary(document: Mapping[str, Any]) -> Table:
    model, geometry, shadows = document["model"], document["geometry"], document["shadows"]
    extents = ", ".join(str(extent) for extent in model["input"]["shape"])
    table = _pairs(f"[bold]{model['name']}[/] · {document['path']}")
    for name, value in {
        "digest": document["digest"],
        "fitted by": f"queen {document['queen_version']}, schema {document['schema_version']}",
        "input": f"{model['input']['name']} {model['input']['datatype']} [{extents}]",
        "input range": model["input_range"]["text"] if model["input_range"] else "without bounds",
        "widths": f"{model['classes']} classes, {model['feature_width']} features, "
        f"{model['embedding_width']} embedding axes",
        "geometry": f"alpha {geometry['alpha']:g}, beta {geometry['beta']:g}, one record covers "
        f"{geometry['coverage_fraction']:g} of a sensitive radius",
        "shadows": f"{shadows['count']} {shadows['architecture']} on {shadows['on']}, "
        f"{shadows['drawn']} drawn for an answer",
        "largest budget": f"{document['largest_budget']} records of a class "
        f"(cqs reaches {geometry['packing_limit']:.2f})",
    }.items():
        table.add_row(name, Text(value))
    return table


def _classes(document: Mapping[str, Any]) -> Table:
    table = Table(
        title="Sensitive regions: rho mean, rs sensitive, r coverage radius", title_justify="left"
    )
    table.add_column("class", justify="right", style="dim")
    table.add_column("name")
    for title in ("rho", "rs", "r"):
        table.add_column(title, justify="right")
    table.add_column(f"T at budget {document['budget']}", justify="right", style="bold")
    for entry in document["classes"]:
        radii = [f"{entry[f'{kind}_radius']:.4g}" for kind in ("mean", "sensitive", "coverage")]
        threshold = "too high" if entry["threshold"] is None else f"{entry['threshold']:.4g}"
        table.add_row(str(entry["label"]), Text(entry["name"]), *radii, threshold)
    return table


def _fit(report: Mapping[str, Any]) -> Table:
    table = _pairs("Fit report")
    for name, value in report.items():
        table.add_row(name.replace("_", " "), Text(_short(value)))
    return table


def _files(document: Mapping[str, Any]) -> Table:
    table = Table(title="Files, as the manifest states them", title_justify="left")
    table.add_column("file")
    table.add_column("size", justify="right")
    table.add_column("SHA-256", style="dim")
    for file in document["files"]:
        table.add_row(file["name"], _size(file["bytes"]), f"{file['sha256'][:16]}…")
    return table


def _pairs(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _spaced(parts: list[RenderableType]) -> list[RenderableType]:
    return [piece for part in parts for piece in (part, Text())][:-1]


def _short(value: Any) -> str:
    """A value of the fit report on a line or two."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_short(inner) for inner in value)
    return str(value)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"

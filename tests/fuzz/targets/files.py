"""Targets that are files: the texts that an operator writes, or hands to a command."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

from queen_inference.settings import InferenceSettings

from queen.bundle import Bundle, Manifest, open_bundle
from queen.cli.accounts.admin_client import parse_exported
from queen.errors import InvalidQuery, QueenError
from queen.planning import PlanOptions, plan
from queen.replay import replay
from queen.serving.accounts import read_accounts
from queen.serving.identity.key_set import FollowedKeySet
from queen.serving.metrics import Metrics
from queen.serving.ports.operators import read_operators
from queen.serving.settings_sources import load_settings
from tests.bundles import SmallBundle
from tests.fuzz.mutations import mutate_text
from tests.fuzz.problems import Problem
from tests.fuzz.targets.target import Target
from tests.integration.inference.door import write_accounts
from tests.issuer import public_jwk, write_key_set
from tests.operators import write_operators
from tests.unit.planning.traffics import observed_log
from tests.unit.replay.logs import crossing

MOST_SENTENCE = 4000
"""Characters of an error: it goes to a terminal, a sentence for each setting that is wrong."""
_PLAN = PlanOptions(budgets=(4,), breadths=(1,), class_caps=(3,))
Read = Callable[[Path], object]


def file_targets(small: SmallBundle, folder: Path) -> list[Target]:
    """The files, each read by the code of the command or service that reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle = open_bundle(small.path)
    written = crossing(bundle).lines()
    observed = observed_log(bundle).lines()
    copy = Path(copytree(small.path, folder / "bundle"))
    metrics = Metrics()
    readers: Sequence[tuple[str, dict[str, bytes], Read, float]] = (
        ("accounts", _accounts(folder), read_accounts, 0.1),
        ("operators", {"two": write_operators(folder).read_bytes()}, read_operators, 0.05),
        ("keys", _keys(folder), lambda path: FollowedKeySet(path, metrics), 0.5),
        ("settings", _settings(small), _read_settings, 0.02),
        ("log", _log(written), lambda path: replay([path], bundle), 0.1),
        ("plan", _log(observed), lambda path: plan([path], bundle, _PLAN), 0.1),
        ("export", _export(bundle), _read_export, 0.5),
    )
    targets = [
        Target(name, seeds, partial(_read, folder / name, read), mutate_text, weight)
        for name, seeds, read, weight in readers
    ]
    manifest = {"small": (small.path / "manifest.json").read_bytes()}
    return [
        *targets,
        Target("manifest", manifest, partial(_open_signed, copy), mutate_text, 0.1),
    ]


async def _read(file: Path, read: Read, data: bytes) -> str:
    file.write_bytes(data)
    try:
        read(file)
    except QueenError as error:
        return _refused(error, file)
    return "read"


async def _open_signed(folder: Path, data: bytes) -> str:
    """Open a bundle with that manifest, under a digest that fits where it can have one."""
    file = folder / "manifest.json"
    file.write_bytes(_signed(data))
    try:
        bundle = open_bundle(folder)
        _ = (bundle.geometry, bundle.mean_squared_sqs, bundle.head, bundle.sketch_space)
        _ = bundle.meter
    except QueenError as error:
        # A part of a bundle names itself.
        return _refused(error, folder if str(folder) in str(error) else Path())
    return "read"


def _signed(data: bytes) -> bytes:
    try:
        manifest = Manifest.model_validate_json(data)
        return manifest.model_copy(update={"digest": manifest.compute_digest()}).to_json().encode()
    except (ValueError, RecursionError):
        return data


def _refused(error: QueenError, file: Path) -> str:
    text = str(error)
    if len(text) > MOST_SENTENCE:
        raise Problem(f"error of {len(text)} characters for {file.name}")
    if not text.isprintable():
        raise Problem(f"error that is not printable for {file.name}")
    if file.name and str(file) not in text:
        raise Problem(f"error that does not name its file: {text[:100]}")
    return "refused"


def _read_settings(path: Path) -> object:
    try:
        return load_settings(InferenceSettings, ["--config", str(path)])
    except QueenError as error:
        # A setting that contradicts another one names both, wherever they stand.
        raise type(error)(f"{path}: {error}") from error


def _read_export(path: Path) -> object:
    with path.open(encoding="utf-8") as lines:
        try:
            return [parse_exported(number, line) for number, line in enumerate(lines, 1)]
        except (InvalidQuery, UnicodeError) as error:
            # As the command says it.
            raise InvalidQuery(f"{path}, {error}") from error


def _accounts(folder: Path) -> dict[str, bytes]:
    digest = "ab" * 32
    rich = {
        "accounts": [
            {"id": "alice", "keys": [{"sha256": digest, "expires": "2027-02-03"}], "group": "acme"},
            {"id": "bob", "subject": "b", "tier": "small", "budget": 9, "breadth": 2},
            {"id": "carol", "san": ["spiffe://carol"], "class_cap": "off", "exempt": True},
        ],
        "groups": [{"id": "acme", "budget": 20}],
        "tiers": [{"id": "small", "profile": "safe", "class_cap": 3}],
    }
    return {
        "plain": write_accounts(folder, alice="", bob="profile: strict").read_bytes(),
        "rich": json.dumps(rich, indent=1).encode(),
    }


def _keys(folder: Path) -> dict[str, bytes]:
    kinds = [public_jwk(kind, kind) for kind in ("rsa", "ec", "ed")]
    return {"three": write_key_set(folder / "jwks.json", *kinds).read_bytes()}


def _settings(small: SmallBundle) -> dict[str, bytes]:
    chosen: dict[str, Any] = {
        "bundle": str(small.path),
        "accounts": "accounts.yaml",
        "port": 0,
        "sensitivity_target": "127.0.0.1:1,127.0.0.1:2",
        "default_profile": "safe",
        "max_request_rows": 64,
        "drain_seconds": 1.5,
        "failure_mode": "deny",
    }
    return {"plain": "".join(f"{key}: {value}\n" for key, value in chosen.items()).encode()}


def _log(lines: Sequence[bytes]) -> dict[str, bytes]:
    return {"whole": b"".join(lines), "two": b"".join(lines[:2]), "one": lines[0]}


def _export(bundle: Bundle) -> dict[str, bytes]:
    account = {"accountId": "alice", "geometryDigest": bundle.geometry.digest, "marks": [1.5]}
    return {"one": (json.dumps(account) + "\n").encode()}

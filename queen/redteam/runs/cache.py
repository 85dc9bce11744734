"""Trained networks, fitted bundles and arrays, kept on disk under a hash of all that decides them.

Arrays go to npz and networks to safetensors, so no file of another run can execute code.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

VERSION = 2
"""A version, increased when anything but the learner changes, so that nothing older is used."""
DEFAULT_CACHE = Path("build/redteam/cache")


class Cache:
    """Folders by kind and identity; many processes may use them at once."""

    def __init__(self, root: Path = DEFAULT_CACHE) -> None:
        self.root = root

    def folder(
        self, kind: str, identity: Mapping[str, object], make: Callable[[Path], None]
    ) -> Path:
        """The folder that `make` filled for this identity; it is called at most once.

        Another process that asks for the same folder waits for it.
        """
        folder = self.root / f"{kind}-{identity_hash(identity)}"
        if folder.is_dir():
            return folder
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / f".{folder.name}.lock"):
            if not folder.is_dir():
                self._make(folder, make)
        return folder

    def _make(self, folder: Path, make: Callable[[Path], None]) -> None:
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.root))
        try:
            make(draft)
            draft.chmod(0o755)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def network(
        self,
        kind: str,
        identity: Mapping[str, object],
        empty: nn.Module,
        train: Callable[[], nn.Module],
    ) -> nn.Module:
        """The weights of this identity in `empty`, trained if they are not kept."""

        def make(draft: Path) -> None:
            tensors = train().state_dict().items()
            save_file({name: value.contiguous() for name, value in tensors}, draft / _WEIGHTS)

        folder = self.folder(kind, identity, make)
        empty.load_state_dict(load_file(folder / _WEIGHTS))
        return empty

    def arrays(
        self,
        kind: str,
        identity: Mapping[str, object],
        compute: Callable[[], Mapping[str, NDArray[np.generic]]],
    ) -> dict[str, NDArray[np.generic]]:
        """The arrays of this identity by name, computed if they are not kept."""

        def make(draft: Path) -> None:
            named: dict[str, Any] = dict(compute())
            np.savez(draft / _ARRAYS, allow_pickle=False, **named)

        folder = self.folder(kind, identity, make)
        with np.load(folder / _ARRAYS, allow_pickle=False) as archive:
            return dict(archive)

    def figures(
        self, kind: str, identity: Mapping[str, object], compute: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The figures of this identity by name, as JSON has them, computed if they are not kept."""

        def make(draft: Path) -> None:
            (draft / _FIGURES).write_text(json.dumps(compute(), allow_nan=False))

        figures: dict[str, Any] = json.loads(
            (self.folder(kind, identity, make) / _FIGURES).read_text()
        )
        return figures


_WEIGHTS, _ARRAYS, _FIGURES = "network.safetensors", "arrays.npz", "figures.json"


def identity_hash(identity: Mapping[str, object]) -> str:
    """Hex hash of names and values: arrays by their content, other values as JSON."""
    plain = {
        name: content_hash(value) if isinstance(value, np.ndarray) else value
        for name, value in identity.items()
    }
    text = json.dumps({**plain, "version": VERSION}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def content_hash(array: NDArray[np.generic]) -> str:
    """Hex hash of an array: type, shape and every byte."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def weights_hash(network: nn.Module) -> str:
    """Hex hash of a network's weights."""
    parts = [
        f"{name} {content_hash(value.detach().cpu().numpy())}"
        for name, value in network.state_dict().items()
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


SERVICES = ("queen_inference", "queen_sensitivity", "queen_perturber")
"""Packages of the services, whose code decides an answer."""


@cache
def fitting_code() -> str:
    """Hex hash of the source that decides a bundle."""
    return _code_hash("queen.method", "queen.bundle", "queen.fit")


@cache
def answering_code() -> str:
    """Hex hash of the source that decides an answer: method, services and baselines.

    Answers of a defense are kept under it, so that no figure outlives its code.
    """
    return _code_hash("queen.method", "queen.redteam.defenses", *SERVICES)


@cache
def measuring_code() -> str:
    """Hex hash of the source that decides the figures of honest accounts."""
    return _code_hash("queen.method", "queen.redteam.defenses", "queen.redteam.runs", *SERVICES)


def _code_hash(*packages: str) -> str:
    digest = hashlib.sha256()
    for package in packages:
        for file in _sources(package):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _sources(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return sorted(file for folder in folders or () for file in Path(folder).rglob("*.py"))


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        # The system releases the lock when the process ends, however it ends.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

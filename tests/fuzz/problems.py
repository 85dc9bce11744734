"""Problems that hostile bytes can cause, and the files that keep the bytes that caused them."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from queen.bundle import Bundle

CORPUS = Path(__file__).parent / "corpus"
"""A folder for each target, with small files, each named for what is in it."""
MOST_CORPUS_BYTES = 64 * 1024
"""Bytes of a file of the corpus, at the most."""


class Problem(Exception):
    """A promise that bytes have broken; the first word says which kind it is."""

    @property
    def kind(self) -> str:
        """The first words, as they may stand in a file's name."""
        return re.sub(r"[^a-z]+", "-", str(self).lower())[:48].strip("-")


@dataclass(frozen=True)
class Digests:
    """The digests of the bundle that is served, for which a file of the corpus has others.

    A bundle made by another version has another digest: under that, all of its files would be
    refused for the same reason. The placeholders are as long, so lengths stay as they are.
    """

    actual: Mapping[bytes, bytes]

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The digests of a bundle."""
        digests = (bundle.digest, bundle.geometry.digest)
        return cls({b"%d" % index * 64: digest.encode() for index, digest in enumerate(digests)})

    def bind(self, data: bytes) -> bytes:
        """The content of a file of the corpus, with the digests of the bundle."""
        for placeholder, digest in self.actual.items():
            data = data.replace(placeholder, digest)
        return data

    def loosen(self, data: bytes) -> bytes:
        """The same bytes for the corpus."""
        for placeholder, digest in self.actual.items():
            data = data.replace(digest, placeholder)
        return data


def problem_of(error: BaseException) -> Problem:
    """The problem of an error that nobody expected, with the place where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    return Problem(f"{type(error).__name__} at {place}: {str(error)[:200]}")


def write_finding(folder: Path, target: str, problem: Problem, data: bytes) -> Path:
    """Keep bytes with a target's corpus, under the name of their problem."""
    file = folder / target / f"{problem.kind}-{hashlib.sha256(data).hexdigest()[:8]}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def corpus_of(target: str, folder: Path = CORPUS) -> Iterator[Path]:
    """The files of a target's corpus, by name."""
    yield from sorted(path for path in (folder / target).glob("*") if path.is_file())

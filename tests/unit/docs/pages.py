"""The Markdown pages of the repository, and the parts of them that a test can check."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = ("docs", "deploy", "services", "tests")

_FENCE = re.compile(r"^ *```.*?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A Markdown page."""

    path: Path

    @property
    def name(self) -> str:
        """Path below the root of the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """The whole page."""
        return self.path.read_text()

    @property
    def is_history(self) -> bool:
        """Whether the page tells of names that are no more: the changelog, a superseded ADR."""
        return self.name == "CHANGELOG.md" or "Status: superseded" in self.text

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def spans(self) -> list[str]:
        """Text in code font within the prose, of which a line break is a space."""
        return [" ".join(span.split()) for span in _SPAN.findall(self.prose)]

    @cached_property
    def blocks(self) -> list[str]:
        """Fenced blocks."""
        return _FENCE.findall(self.text)

    @cached_property
    def links(self) -> list[str]:
        """Targets of the links within the repository."""
        targets = _LINK.findall(_SPAN.sub("", self.prose))
        return [target for target in targets if "://" not in target]

    @cached_property
    def anchors(self) -> set[str]:
        """Anchors of the headings, made as GitHub makes them."""
        found = set()
        for heading in _HEADING.findall(self.prose):
            plain = re.sub(r"[^\w\- ]", "", heading.lower()).strip()
            found.add(plain.replace(" ", "-"))
        return found

    def command_lines(self) -> Iterator[list[str]]:
        """Commands of the page as words: lines of its blocks, and spans in code font."""
        for block in self.blocks:
            for line in block.replace("\\\n", " ").splitlines():
                yield from _words(line)
        for span in self.spans:
            yield from _words(span)


def pages() -> list[Page]:
    """All pages of the repository."""
    files = list(ROOT.glob("*.md"))
    files += [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.md")]
    return [Page(file) for file in sorted(files)]


def _words(line: str) -> Iterator[list[str]]:
    """Words of a shell line without comments and leading assignments; none if it is no shell."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if words:
        yield words

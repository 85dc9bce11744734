"""docs/method.md names the functions of `queen.method`, all of them and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "method.md").read_text()
FILES = {file.stem: file for file in (ROOT / "queen" / "method").rglob("[!_]*.py")}
Definition = ast.FunctionDef | ast.ClassDef


def _definitions(body: list[ast.stmt]) -> Iterator[Definition]:
    """Public functions and classes of a module, or public methods of a class."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def _names() -> Iterator[str]:
    """`module.function`, `module.Class` and `module.Class.method` of everything public."""
    for module, file in FILES.items():
        for node in _definitions(ast.parse(file.read_text()).body):
            yield f"{module}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from (f"{module}.{node.name}.{part.name}" for part in _definitions(node.body))


def _named() -> set[str]:
    """Names on the page that begin with a module of the method."""
    codes = re.findall(r"`([a-z_]+\.[A-Za-z_.]+)`", PAGE)
    return {code for code in codes if code.partition(".")[0] in FILES}


def test_every_function_of_the_method_is_on_the_page() -> None:
    """A function or class is named by itself, or a class by one of its methods."""
    named = {".".join(name.split(".")[:2]) for name in _named()}
    public = {name for name in _names() if name.count(".") == 1}
    assert public - named == set()


def test_every_name_on_the_page_exists() -> None:
    """What was renamed or removed is not on the page any more."""
    assert _named() - set(_names()) == set()


def test_every_trap_on_the_page_has_its_test() -> None:
    """The names in the table of traps are those of tests, the short ones by their trap."""
    tests = re.findall(r"def (test_trap_\w+)", (ROOT / "tests/paper/test_traps.py").read_text())
    for row in re.findall(r"^\| \d .*\|$", PAGE, re.MULTILINE):
        first, *others = re.findall(r"`(\S+)`", row)
        trap = re.match(r"test_trap_\d_", first)
        assert trap is not None
        names = {first, *(trap[0] + other.removeprefix("..._") for other in others)}
        assert names == {test for test in tests if test.startswith(trap[0])}

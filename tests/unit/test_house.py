"""Rules of this repository that no linter knows.

A test fails with the places that break its rule. Exceptions stand beside their rule, each with
its reason.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_PARAMETERS = 6
MOST_FILES = 14
LINE_LENGTH = 100

CROWDED_FOLDERS = {
    "queen/redteam/attacks": "a registry: one file an attack",
    "queen/redteam/defenses": "a registry: one file a defense",
    "tests/unit/method": "the tests of queen/method, with the streams and regions that they share",
    "tests/unit/redteam/attacks": "as the registry of attacks",
}
UNTESTED_FOLDERS = {
    "queen/redteam/attacks": "test_every_attack.py holds every attack of the registry to one table",
    "queen/redteam/defenses": "test_defenses.py holds every defense of the registry to one table",
}

_SENSITIVITY = "services/sensitivity/queen_sensitivity"
TESTED_ELSEWHERE = {
    "queen/bench/certificate.py": "tests/e2e/test_bench_serve.py",
    "queen/bench/serve.py": "tests/e2e/test_bench_serve.py",
    "queen/bench/verdict_time/bench.py": "tests/e2e/test_bench_leak.py",
    "queen/bench/verdict_time/contestant.py": "tests/e2e/test_bench_leak.py",
    "queen/serving/edge/terms.py": "tests/unit/serving/test_interceptors.py",
    "queen/redteam/runs/simulation.py": "tests/integration/test_redteam_simulation.py",
    "queen/redteam/targets/endpoint.py": "tests/integration/test_redteam_endpoint.py",
    "queen/redteam/targets/in_process.py": "tests/integration/test_redteam_in_process.py",
    f"{_SENSITIVITY}/wiring.py": "tests/integration/sensitivity/test_service.py",
    f"{_SENSITIVITY}/engine/wiring.py": "tests/unit/sensitivity/engine/test_book.py",
}
"""Modules that share a test, or that only a larger test can reach, with that test."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def nodes(path: str) -> list[ast.AST]:
    """All nodes of the syntax tree of a file; the first is the module."""
    return list(ast.walk(ast.parse((ROOT / path).read_text())))


@cache
def files(*folders: str) -> list[str]:
    """Paths of the Python files of ours in `folders`; generated code apart."""
    below = (file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))
    paths = (str(file.relative_to(ROOT)) for file in below)
    return [path for path in paths if not path.startswith("queen/api/")]


def everywhere(*folders: str) -> Iterator[tuple[str, ast.AST]]:
    """(path, node) of every syntax tree in `folders`; without any, of the whole repository."""
    for path in files(*(folders or ("queen", "services", "tests"))):
        for node in nodes(path):
            yield path, node


def parameters(function: Function) -> int:
    """Parameters of a function, without self and cls."""
    names = function.args
    plain = [*names.posonlyargs, *names.args]
    if plain and plain[0].arg in {"self", "cls"}:
        plain = plain[1:]
    stars = [star for star in (names.vararg, names.kwarg) if star is not None]
    return len(plain) + len(names.kwonlyargs) + len(stars)


def test_functions_have_few_parameters() -> None:
    """Values travel whole: a function that is no constructor has at most six parameters."""
    broken = [
        f"{path}:{node.lineno} {node.name} has {parameters(node)}"
        for path, node in everywhere()
        if isinstance(node, Function)
        and node.name not in {"__init__", "__new__"}
        and parameters(node) > MOST_PARAMETERS
    ]
    require(broken)


def test_imports_are_seen_by_tools() -> None:
    """Only the lazy loader of commands imports by string."""
    broken = [
        f"{path}:{node.lineno}"
        for path, node in everywhere()
        if name_of(node) in {"import_module", "__import__"} and path != "queen/cli/lazy.py"
    ]
    require(broken)


def test_no_name_says_take() -> None:
    """`take` has had eight meanings: names say select, fetch, allocate, charge or consume."""
    broken = [
        f"{path}:{node.lineno} {name}"
        for path, node in everywhere()
        if (name := defined(node)) and re.fullmatch(r"_*(take|takes|taken)(_\w+)?", name)
    ]
    require(broken)


def test_names_say_what_they_hold() -> None:
    """A reader learns nothing from `found`, `place`, `number`, `one` or `each`."""
    broken = [
        f"{path}:{node.lineno} {name}"
        for path, node in everywhere("queen", "services")
        if (name := defined(node)) in {"found", "place", "number", "one", "each"}
    ]
    require(broken)


def test_docstrings_begin_with_their_subject() -> None:
    """A docstring names what it is about, and does not begin with a pronoun for it.

    The name of a test says its subject, so the docstring of a test may go on from there.
    """
    pronouns = {"What", "Whatever", "Who", "Whoever", "Nobody", "Everybody"}
    pronouns |= {"It", "Its", "They", "Their", "That", "Those", "Which", "One", "As"}
    broken = [
        f"{path}:{getattr(node, 'lineno', 1)} {text.split()[0]}"
        for path, node in everywhere()
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        and not getattr(node, "name", "").startswith("test_")
        and (text := ast.get_docstring(node))
        and text.split()[0] in pronouns
    ]
    require(broken)


def test_folders_hold_few_files() -> None:
    """A folder with more files than a reader can keep in mind is several rooms."""
    counts = Counter(
        str(Path(path).parent)
        for path in files("queen", "services", "tests")
        if not path.endswith("__init__.py")
    )
    broken = [
        f"{folder}: {count} files"
        for folder, count in counts.items()
        if count > MOST_FILES and folder not in CROWDED_FOLDERS
    ]
    require(broken)


def test_modules_have_a_test_of_their_name() -> None:
    """The unit test of a module with logic of its own lies where the module does."""
    broken = [
        f"{path}: {unit_test(path)}"
        for path in files("queen", "services")
        if has_logic(nodes(path)[0])
        and Path(path).stem not in {"__init__", "__main__"}
        and str(Path(path).parent) not in UNTESTED_FOLDERS
        and not (ROOT / TESTED_ELSEWHERE.get(path, unit_test(path))).exists()
    ]
    require(broken)


def test_tests_read_public_attributes() -> None:
    """A test knows of an object what its users know."""
    broken = [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for path, node in everywhere("tests")
        if isinstance(node, ast.Attribute)
        and re.match(r"_[^_]", node.attr)
        and name_of(node.value) not in {"self", "cls"}
    ]
    require(broken)


def test_lines_of_pages_are_short() -> None:
    """A line of a page fits beside its neighbors in a diff; tables and links may be longer."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    pages += [file for room in ("services", "deploy", "tests") for file in readmes(ROOT / room)]
    broken = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if not line.lstrip().startswith("|") and len(without_links(line)) > LINE_LENGTH
    ]
    require(broken)


def require(broken: list[str]) -> None:
    """Fail with the list of what breaks a rule."""
    assert not broken, "\n".join(["", *broken])


def readmes(folder: Path) -> Iterator[Path]:
    """Every README in a folder and below."""
    return folder.rglob("README.md")


def without_links(line: str) -> str:
    """A line of Markdown without the addresses in it, which cannot be wrapped."""
    return re.sub(r"\]\([^)]*\)|https?://\S+", "", line)


def name_of(node: ast.AST) -> str | None:
    """The name that an expression or an import ends with."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
            return name
        case _:
            return None


def defined(node: ast.AST) -> str | None:
    """The function, class, parameter, variable or attribute that a node defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
            return name
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return name
        case _:
            return None


def has_logic(module: ast.AST) -> bool:
    """Whether a module defines a function, or a class with a method that does something."""
    assert isinstance(module, ast.Module)
    for node in module.body:
        if isinstance(node, Function):
            return True
        is_class = isinstance(node, ast.ClassDef) and "Protocol" not in map(name_of, node.bases)
        if is_class and any(isinstance(part, Function) for part in node.body):
            return True
    return False


def unit_test(path: str) -> str:
    """Where the unit test of a module belongs."""
    mirrored = re.sub(r"^services/(\w+)/queen_\1/", r"\1/", path.removeprefix("queen/"))
    return str(Path("tests/unit", mirrored).with_name(f"test_{Path(path).name}"))

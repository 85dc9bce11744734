"""Names on the pages: code, files, settings, metrics and make targets."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from queen_inference.settings import InferenceSettings
from queen_perturber.settings import PerturberSettings
from queen_sensitivity.settings import SensitivitySettings

from queen.serving.settings import CONFIG, ServiceSettings
from tests.unit.docs.pages import ROOT, Page, pages

SETTINGS: dict[str, type[ServiceSettings]] = {
    "inference": InferenceSettings,
    "perturber": PerturberSettings,
    "sensitivity": SensitivitySettings,
}
ALL_SETTINGS = {name for settings in SETTINGS.values() for name in settings.model_fields}
ROOMS = ("queen", "services", "protos", "deploy", "tests")
SOURCES = {".py", ".proto", ".yaml", ".sh"}
OF_OTHERS = {"protos_and_services", "ring_hash", "queen_services", "queen.services.inference"}
"""Names of other projects, and of designs that were considered or given up."""

SNAKE = re.compile(r"(?<![\w.*-])(?:\.\.\.)?_?[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")
CAMEL = re.compile(r"\b[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+\b")
DOTTED = re.compile(r"^(queen(?:_\w+)?(?:\.\w+)+)$")
METRIC = re.compile(r"\b(?:queen|grpc_server|config_load)_\w+\b")
PACKAGES = {"queen_inference", "queen_perturber", "queen_sensitivity"}

every_page = pytest.mark.parametrize(
    "page", [page for page in pages() if not page.is_history], ids=lambda page: page.name
)


@cache
def source_text() -> str:
    """All code, protos and manifests, with the names of their files."""
    files = [
        file
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*"))
        if file.suffix in SOURCES and file.parent.name != "docs"
    ]
    return "\n".join(f"{file.relative_to(ROOT)}\n{file.read_text()}" for file in files)


@cache
def source_words() -> frozenset[str]:
    """Every word of the code, the protos and the manifests."""
    return frozenset(re.findall(r"\w+", source_text()))


@cache
def metric_names() -> frozenset[str]:
    """Every string constant of the library and the services that has the form of a metric."""
    files = [file for room in ("queen", "services") for file in (ROOT / room).rglob("*.py")]
    return frozenset(
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and METRIC.fullmatch(node.value)
    )


@every_page
def test_names_in_code_font_are_names_of_the_code(page: Page) -> None:
    """A snake_case or CamelCase name in code font occurs in the code."""
    named = {name for span in page.spans for name in SNAKE.findall(span) + CAMEL.findall(span)}
    unknown = sorted(
        name
        for name in named - source_words() - OF_OTHERS
        # An ellipsis stands for the beginning of the name.
        if not (name.startswith("...") and name.removeprefix("...") in source_text())
    )
    assert unknown == []


@every_page
def test_files_in_code_font_exist(page: Page) -> None:
    """A path in code font exists below the root, the page or a service; NAME stands for any."""
    packages = page.path.parent.glob("queen_*")
    bases = [ROOT, page.path.parent, *packages, *(ROOT / "services").iterdir()]
    tops = {child.name for base in bases for child in base.iterdir() if child.is_dir()}
    # Made by the make targets: not there in a fresh checkout.
    tops -= {"build", "dist"}
    missing = []
    for span in page.spans:
        top, slash, _ = span.partition("/")
        is_path = slash and top in tops and re.fullmatch(r"[\w./*-]+", span) and "NAME" not in span
        if is_path and not any(any(base.glob(span.rstrip("/"))) for base in bases):
            missing.append(span)
        if re.fullmatch(r"\w+\.(py|proto)", span) and not any(ROOT.glob(f"*/**/{span}")):
            missing.append(span)
    assert missing == []


@every_page
def test_files_in_commands_exist(page: Page) -> None:
    """A path of this repository in a command on a page exists."""
    words = {word for words in page.command_lines() for word in words if "NAME" not in word}
    paths = {word for word in words if re.fullmatch(rf"({'|'.join(ROOMS)})/[\w./*-]+", word)}
    assert [path for path in sorted(paths) if not any(ROOT.glob(path.rstrip("/")))] == []


@every_page
def test_dotted_names_in_code_font_exist(page: Page) -> None:
    """A name like queen.method.sensitivity is a module, or is defined in one."""
    dotted = [span for span in page.spans if DOTTED.match(span)]
    assert [name for name in dotted if not (name in OF_OTHERS or _is_defined(name))] == []


def _is_defined(name: str) -> bool:
    """Whether a dotted name is a package, a module, a name in one, or a service of the protos."""
    parts = name.split(".")
    base = ROOT if parts[0] == "queen" else ROOT / "services" / parts[0].removeprefix("queen_")
    path = base.joinpath(*parts)
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    holders = [path.parent / "__init__.py", path.parent.with_suffix(".py")]
    holders += (ROOT / "protos").joinpath(*parts[:-1]).glob("*.proto")
    pattern = re.compile(rf"\b{parts[-1]}\b")
    return any(file.is_file() and pattern.search(file.read_text()) for file in holders)


@every_page
def test_metrics_exist(page: Page) -> None:
    """A metric on a page is one that a service has."""
    named = {name for span in page.spans for name in METRIC.findall(span)}
    assert sorted(named - metric_names() - PACKAGES - OF_OTHERS) == []


@every_page
def test_settings_are_in_snake_case(page: Page) -> None:
    """A setting is called by its name, as in a settings file, and not by its flag."""
    kebab = {name.replace("_", "-") for name in ALL_SETTINGS if "_" in name}
    words = {word for span in page.spans for word in re.findall(r"(?<![\w-])[a-z-]+\b", span)}
    assert sorted(kebab & words) == []


@every_page
def test_environment_variables_exist(page: Page) -> None:
    """A QUEEN_ variable is a setting's, a flag's, or one that the code reads."""
    known = {CONFIG, *ALL_SETTINGS}
    unknown = []
    for name in set(re.findall(r"\bQUEEN_[A-Z0-9_]+", page.text)):
        service, _, setting = name.removeprefix("QUEEN_").partition("_")
        is_setting = service.lower() in SETTINGS and (not setting or setting.lower() in known)
        if not is_setting and not re.search(rf"\b{name}\b", source_text()):
            unknown.append(name)
    assert sorted(unknown) == []


def test_settings_that_a_page_gives_to_a_service_are_settings_of_it() -> None:
    """A row `setting` (service) of docs/operations.md names a setting of that service."""
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \((\w+)", page, re.MULTILINE)
    assert len(rows) >= 10
    for names, service in rows:
        assert set(re.findall(r"\w+", names)) <= set(SETTINGS[service].model_fields)


@every_page
def test_make_targets_exist(page: Page) -> None:
    """A target after `make` in code font is one of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [words for words in page.command_lines() if words[0] == "make"]
    asked = {word for words in named for word in words[1:] if "=" not in word}
    assert sorted(asked - targets) == []


def test_the_map_of_the_rooms_has_every_room() -> None:
    """Every folder of code, stubs and shared parts aside, is named in ARCHITECTURE.md."""
    named = {span.rstrip("/") for span in Page(ROOT / "ARCHITECTURE.md").spans}
    packages = [ROOT / "queen", *sorted(ROOT.glob("services/*/queen_*"))]
    rooms = {file.parent for package in packages for file in package.rglob("*.py")}
    rooms -= {
        ROOT / "queen",
        *(ROOT / "queen" / "api").rglob("*"),
        *(ROOT / "queen").rglob("parts"),
    }
    paths = {room: re.sub(r"^services/\w+/", "", f"{room.relative_to(ROOT)}") for room in rooms}
    assert [path for room, path in paths.items() if not {path, room.name} & named] == []

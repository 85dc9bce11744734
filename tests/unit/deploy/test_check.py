"""deploy/check.sh reports unsound manifests and Dockerfiles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.deploy.manifests import ROOT

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 1}]}\n"
DOCKERFILE = 'FROM python:3.11.14-slim-bookworm\nUSER 10001\nENTRYPOINT ["python"]\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one sound manifest and one sound Dockerfile."""
    folder = tmp_path / "deploy/k8s/base"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/check.sh", tmp_path / "deploy")
    (folder / "kustomization.yaml").write_text("resources: [service.yaml]\n")
    (folder / "service.yaml").write_text(SERVICE)
    image = tmp_path / "services/x"
    image.mkdir(parents=True)
    (image / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def check(tree: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script of `tree` with the tools of this environment."""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}" if path is None else path
    return subprocess.run(
        [tree / "deploy/check.sh"],
        env={**os.environ, "PATH": tools},
        capture_output=True,
        text=True,
        check=False,
    )


def test_sound_tree_passes(tree: Path) -> None:
    """Nothing wrong, exit code 0."""
    done = check(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("deploy/k8s/base/service.yaml", SERVICE.replace("port: 1", "port: 1, prot: 1"), "prot"),
        ("deploy/k8s/base/service.yaml", SERVICE.replace("Service", "Sevrice"), "Sevrice"),
        ("deploy/k8s/base/kustomization.yaml", "resources: [absent.yaml]\n", "render"),
        ("services/x/Dockerfile", "FROM python:latest\n", "DL3007"),
    ],
    ids=["unknown field", "unknown kind", "missing file", "moving tag"],
)
def test_a_finding_fails(tree: Path, file: str, content: str, word: str) -> None:
    """Every kind of mistake ends in exit code 1 with a line that names it."""
    (tree / file).write_text(content)
    done = check(tree)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert word in done.stdout


def test_missing_tool_is_said(tree: Path) -> None:
    """Without its tools the script refuses instead of passing."""
    empty = tree / "bin"
    empty.mkdir()
    for tool in ("bash", "dirname", "env"):
        program = shutil.which(tool)
        assert program
        (empty / tool).symlink_to(program)
    done = check(tree, path=str(empty))
    assert done.returncode == 2
    assert "needs kubectl" in done.stderr

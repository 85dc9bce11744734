""".ci/nightly runs its parts and tells those that failed from those that were not run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.deploy.manifests import ROOT

# `make chaos` fails for seed 2 alone; `make soak` always passes.
MAKE = '#!/bin/bash\necho "make $*"\n[ "$*" != "chaos SEED=2" ]\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with the script, and a PATH of its own with a `make` that only talks."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/nightly", tmp_path / ".ci")
    (tmp_path / "deploy").mkdir()
    for script in ("build-images.sh", "builder.sh"):
        shutil.copy(ROOT / "deploy" / script, tmp_path / "deploy")
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname", "env", "date"):
        program = shutil.which(tool)
        assert program
        (tmp_path / "bin" / tool).symlink_to(program)
    make = tmp_path / "bin/make"
    make.write_text(MAKE)
    make.chmod(0o755)
    return tmp_path


def nightly(tree: Path, *parts: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run parts of the script with the tools of the tree."""
    return subprocess.run(
        [tree / ".ci/nightly", *parts],
        env={**os.environ, "PATH": str(tree / "bin"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The outcome of each part, as the summary at the end has it."""
    summary = done.stdout.rpartition("\n\n")[2]
    words = [line.split() for line in summary.splitlines()]
    return {part: " ".join(outcome) for part, *outcome, _seconds, _unit in words}


def test_a_failed_part_ends_in_an_error_and_the_others_run(tree: Path) -> None:
    """A seed that fails keeps no other seed and no other part from running."""
    done = nightly(tree, "chaos", "soak", SEEDS="1 2 3")
    assert done.returncode == 1
    assert outcomes(done) == {"chaos": "FAILED", "soak": "ok"}
    assert all(f"make chaos SEED={seed}" in done.stdout for seed in (1, 2, 3))


def test_seeds_and_times_can_be_chosen(tree: Path) -> None:
    """The parts read their sizes from the environment."""
    done = nightly(tree, "chaos", "soak", SEEDS="7", SECONDS_OF_SOAK="60")
    assert done.returncode == 0
    assert "make chaos SEED=7\n" in done.stdout
    assert "make soak SECONDS=60\n" in done.stdout


def test_a_part_without_its_tool_is_not_run(tree: Path) -> None:
    """It is no failure, and the summary does not call it a success."""
    done = nightly(tree, "images")
    assert done.returncode == 0
    assert outcomes(done) == {"images": "not run"}
    assert "needs docker, podman or buildah" in done.stderr

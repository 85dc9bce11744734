"""deploy/build-images.sh builds and starts each image, with whichever builder there is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import queen
from tests.unit.deploy.manifests import ROOT, SERVICES

BUILDER = '#!/bin/bash\n[ "$1" = info ] || echo "$(basename "$0") $*" >>"$CALLS"\n'
WITHOUT_DAEMON = "#!/bin/bash\nexit 1\n"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for the PATH without any builder of images."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "dirname", "basename", "env", "sed"):
        program = shutil.which(tool)
        assert program
        (folder / tool).symlink_to(program)
    return folder


def build(tools: Path, *builders: str, **variables: str) -> tuple[int, str, list[str]]:
    """Exit code and stderr of the script, and the calls of builders that only write them down."""
    calls = tools.parent / "calls"
    calls.touch()
    for name in builders:
        (tools / name).write_text(BUILDER)
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [ROOT / "deploy/build-images.sh"],
        env={**os.environ, "PATH": str(tools), "CALLS": str(calls), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr, calls.read_text().splitlines()


def test_each_image_is_built_and_started(tools: Path) -> None:
    """From the root of the repository, tagged with the version, and run with --help."""
    code, _, calls = build(tools, "podman", BUILD_FLAGS="--network host --quiet")
    assert code == 0
    expected = []
    for service in SERVICES:
        image, file = f"queen-{service}:{queen.__version__}", f"services/{service}/Dockerfile"
        expected.append(f"podman build --network host --quiet --file {file} --tag {image} .")
        expected.append(f"podman run --rm {image} --help")
    assert sorted(calls) == sorted(expected)


def test_a_builder_can_be_chosen(tools: Path) -> None:
    """Docker comes first where there are several; BUILDER names another."""
    _, _, calls = build(tools, "docker", "buildah")
    assert {call.split()[0] for call in calls} == {"docker"}
    _, _, calls = build(tools, "docker", "buildah", BUILDER="buildah")
    assert "buildah" in {call.split()[0] for call in calls}


def test_a_docker_without_a_daemon_is_passed_over(tools: Path) -> None:
    """A client alone builds nothing."""
    (tools / "docker").write_text(WITHOUT_DAEMON)
    (tools / "docker").chmod(0o755)
    code, _, calls = build(tools, "podman")
    assert code == 0
    assert {call.split()[0] for call in calls} == {"podman"}


def test_without_a_builder_the_script_says_what_it_needs(tools: Path) -> None:
    """Exit code 2 and a sentence, as deploy/check.sh has it."""
    code, stderr, _ = build(tools)
    assert code == 2
    assert "needs docker, podman or buildah" in stderr

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from queen import __version__
from queen.cli import main
from queen.cli.lazy import LazyCommand, missing_library
from tests.bundles import make_bundle


def test_version_names_the_program():
    """`queen --version` prints the name and the version."""
    assert CliRunner().invoke(main, ["--version"]).output == f"queen {__version__}\n"


@pytest.mark.parametrize("argv", [["--help"], ["query", "--help"], ["up", "--help"]])
def test_help_loads_no_engine(argv):
    """Help, and the commands beside fit and demo, load neither Torch nor FAISS nor ORT."""
    script = (
        "import sys\nfrom queen.cli import main\n"
        f"try: main({argv!r})\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'faiss', 'onnxruntime', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


EXTRAS = ("torch", "faiss", "onnxruntime", "redis")
"""Libraries that only the extras of the services install."""


def run_bare(*argv):
    """Run a command as an installation without any of these extras does."""
    script = (
        f"import sys\nsys.modules.update(dict.fromkeys({EXTRAS!r}))\n"
        f"from queen.cli import main\nmain({[str(word) for word in argv]!r})"
    )
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


def test_a_check_needs_no_extra(tmp_path):
    """Parts that need a library are left out; the settings of a service may need its extra."""
    small = make_bundle(tmp_path / "bundle")
    checked = run_bare("check", small.path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "not built, Torch is not installed" in checked.stdout
    assert "not run, ONNX Runtime is not installed" in checked.stdout
    (tmp_path / "accounts.yaml").write_text("accounts: []")
    assert run_bare("check", tmp_path / "accounts.yaml").returncode == 0
    (tmp_path / "inference.yaml").write_text("port: 3")
    assert run_bare("check", tmp_path / "inference.yaml", "--service", "inference").returncode == 0
    refused = run_bare("check", tmp_path / "inference.yaml", "--service", "sensitivity")
    assert refused.stderr.startswith("queen: queen check needs the `demo` extra (redis is missing)")


def test_up_names_the_extras_of_the_services(tmp_path):
    """All that are missing, in one sentence; its help needs none of them."""
    assert run_bare("up", "--help").returncode == 0
    refused = run_bare("up", "--bundle", tmp_path)
    assert refused.stderr.endswith("pip install 'queen[sensitivity,perturber,inference]'\n")


def test_missing_library_names_its_extra():
    """A library that is not installed becomes the sentence with the extra to install."""
    error = ModuleNotFoundError("No module named 'onnx.helper'", name="onnx.helper")
    words = missing_library(LazyCommand("fit", "", "fit"), error).message
    assert words.startswith("queen fit needs the `fit` extra (onnx is missing)")
    assert words.endswith("pip install 'queen[fit]'")


def test_debug_shows_the_error_itself(tmp_path):
    """Without --debug an error is one line on stderr, with it the exception comes through."""
    argv = ["inspect", str(tmp_path / "none")]
    plain = CliRunner().invoke(main, argv)
    assert plain.exit_code == 1
    assert plain.stderr.count("\n") == 1
    assert "no bundle here" in plain.stderr
    debugged = CliRunner().invoke(main, ["--debug", *argv])
    assert type(debugged.exception).__name__ == "BundleNotFound"


def test_unknown_command_is_a_usage_error():
    """A mistyped command exits with 2."""
    assert CliRunner().invoke(main, ["quary"]).exit_code == click.UsageError.exit_code

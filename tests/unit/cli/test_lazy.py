import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from queen import __version__
from queen.cli import main
from queen.cli.lazy import LazyCommand, missing_library


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

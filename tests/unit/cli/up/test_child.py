"""A process of a deployment, and the words for its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from queen.cli.up.child import ending, last_sentence
from tests.unit.cli.up.processes import REFUSING, SERVING, SILENT, child_of


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", None),
        ('{"msg": "serving"}\nqueen inference: port in use\n', "queen inference: port in use"),
        (json.dumps({"msg": "refused", "error": "no space"}), "no space"),
    ],
)
def test_last_sentence_prefers_words_to_json(log, expected):
    """The last sentence of a child is found among its JSON lines."""
    assert last_sentence(log) == expected


def test_signals_are_named():
    """An end by a signal is told by the signal's name."""
    assert ending(-9) == "was ended by SIGKILL"
    assert ending(2) == "ended with exit code 2"


async def test_a_child_serves_and_ends(tmp_path):
    """Its ready file is read, its output is in its log, and its exit code is known."""
    child = child_of(tmp_path, SERVING)
    assert (child.pid, child.exit_code, child.is_running) == (None, None, False)
    await child.start()
    assert await child.serves()
    assert child.is_serving
    assert child.ready == {"address": "127.0.0.1:1", "pid": child.pid}
    child.send(signal.SIGTERM)
    await child.ended()
    assert (child.exit_code, child.is_running) == (0, False)
    assert child.log.read_text() == "drained\n"
    child.send(signal.SIGTERM)


async def test_a_child_that_refuses_has_last_words(tmp_path):
    """It does not serve, and says why."""
    child = child_of(tmp_path, REFUSING)
    await child.start()
    assert not await child.serves()
    assert child.last_words() == "queen toy: expected good settings, got bad"


async def test_a_ready_file_of_before_is_no_news(tmp_path):
    """A child that was killed left its ready file; the next one must write its own."""
    child = child_of(tmp_path, SILENT)
    child.ready_file.write_text("{}")
    await child.start()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.serves(), 0.2)
    assert not child.is_serving
    child.send(signal.SIGKILL)
    await child.ended()
    assert child.last_words() == "it was ended by SIGKILL"


async def test_a_secret_travels_in_the_environment(tmp_path):
    """A URL with a password is no argument, which every user of the machine could read."""
    child = child_of(tmp_path, "import os; print(os.environ['STATE'])", STATE="redis://u:p@h")
    await child.start()
    await child.ended()
    assert child.log.read_text() == "redis://u:p@h\n"


def test_a_child_dies_with_its_parent(tmp_path):
    """However the parent ends: here by SIGKILL."""
    code = (
        "import asyncio, pathlib, sys\n"
        "from tests.unit.cli.up.processes import SERVING, child_of\n"
        "async def main():\n"
        "    child = child_of(pathlib.Path(sys.argv[1]), SERVING)\n"
        "    await child.start(); await child.serves(); print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert (tmp_path / "toy.log").read_text() == "drained\n"

"""Libraries that a service loads and their threads, seen in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

FORBIDDEN = {
    "inference": ("torch", "faiss", "onnx", "sklearn", "matplotlib"),
    "sensitivity": ("torch", "onnxruntime", "onnx", "sklearn", "matplotlib"),
    "perturber": ("faiss", "onnxruntime", "onnx", "sklearn", "matplotlib"),
}


CODE = """
import json, sys, queen_{service}.__main__
loaded = [name for name in {forbidden} if name in sys.modules]
import numpy, threadpoolctl
threads = sorted({{pool["num_threads"] for pool in threadpoolctl.threadpool_info()}})
print(json.dumps({{"loaded": loaded, "threads": threads}}))
"""


@dataclass
class Fresh:
    """A fresh interpreter that imported a service: forbidden engines, sizes of thread pools."""

    loaded: list[str]
    threads: list[int]


@pytest.fixture(scope="module", params=sorted(FORBIDDEN))
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """Each service, where the environment says nothing of threads."""
    code = CODE.format(service=request.param, forbidden=FORBIDDEN[request.param])
    bare = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare
    )
    return Fresh(**json.loads(done.stdout))


def test_a_service_loads_only_its_own_engine(fresh: Fresh) -> None:
    """A fresh interpreter that imports a service has none of the others' engines loaded."""
    assert fresh.loaded == []


def test_a_service_computes_with_one_native_thread(fresh: Fresh) -> None:
    """BLAS and OpenMP get one thread where the environment says nothing: their threads spin."""
    assert fresh.threads == [1]

"""Libraries that a service loads, seen in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FORBIDDEN = {
    "inference": ("torch", "faiss", "onnx", "sklearn", "matplotlib"),
    "sensitivity": ("torch", "onnxruntime", "onnx", "sklearn", "matplotlib"),
    "perturber": ("faiss", "onnxruntime", "onnx", "sklearn", "matplotlib"),
}


@pytest.mark.parametrize("service", sorted(FORBIDDEN))
def test_a_service_loads_only_its_own_engine(service: str) -> None:
    """A fresh interpreter that imports a service has none of the others' engines loaded."""
    code = (
        f"import sys, queen_{service}.__main__; "
        f"print([name for name in {FORBIDDEN[service]} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("service", sorted(FORBIDDEN))
def test_a_service_computes_with_one_native_thread(service: str) -> None:
    """BLAS and OpenMP get one thread where the environment says nothing: their threads spin."""
    code = (
        f"import queen_{service}.__main__, numpy, threadpoolctl; "
        "print({pool['num_threads'] for pool in threadpoolctl.threadpool_info()})"
    )
    bare = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare
    )
    assert done.stdout.strip() == "{1}"

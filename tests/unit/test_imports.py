"""What each service may load, seen in a fresh interpreter."""

from __future__ import annotations

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
        f"import sys, services.{service}.__main__; "
        f"print([name for name in {FORBIDDEN[service]} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

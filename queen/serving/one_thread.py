"""Importing this keeps BLAS and OpenMP to one thread, unless the environment says more.

Import it before NumPy: the pools are made when the libraries load. Their threads spin while
they wait for the small work of a service, on the cores that gRPC and other services need. ONNX
Runtime and Torch have pools of their own, which the settings `threads` size.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

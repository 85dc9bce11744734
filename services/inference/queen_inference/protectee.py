"""The protectee in ONNX Runtime, run so that no row's answer depends on its neighbors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from queen.bundle import OUTPUTS, Bundle, TensorSignature
from queen.bundle.onnx_file import require_no_external_data
from queen.errors import BundleCorrupt
from queen.serving.logging import logger
from queen.wire import DATATYPES

Array = NDArray[Any]
SingleArray = NDArray[np.float32]
LARGEST_BUCKET = 256
SLOW_SECONDS = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """The protectee's outputs for B rows: float32 (B, C), (B, C), (B, D), (B, E)."""

    probabilities: SingleArray
    logits: SingleArray
    features: SingleArray
    embeddings: SingleArray

    @classmethod
    def joined(cls, parts: Sequence[Outputs]) -> Outputs:
        """The outputs of the rows of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        arrays = zip(*(part.arrays() for part in parts), strict=True)
        return cls(*(np.concatenate(group) for group in arrays))

    def arrays(self) -> tuple[SingleArray, ...]:
        """All four, in the order of `queen.bundle.OUTPUTS`."""
        return self.probabilities, self.logits, self.features, self.embeddings

    def part(self, rows: slice | NDArray[np.bool_]) -> Outputs:
        """The outputs of some rows."""
        return Outputs(*(array[rows] for array in self.arrays()))


class Protectee:
    """The protectee's session, which runs at a few batch sizes ("buckets") only.

    The kernels that a runtime picks depend on the batch size: at one row a matrix product
    becomes a matrix-vector product and sums in another order. Rows are therefore padded to
    buckets that are known, by trial at the start, to give every row the same bits.
    """

    def __init__(self, bundle: Bundle, *, threads: int, max_batch_rows: int) -> None:
        self.signature = bundle.manifest.input
        self._session = open_session(bundle, threads)
        require_signature(self._session, bundle)
        probe = probe_rows(self.signature, _bucket_sizes(min(max_batch_rows, LARGEST_BUCKET))[-1])
        self.buckets = row_exact_buckets(self._run_exactly, probe, self._affordable_sizes(probe))
        self._seconds = {size: self._time(probe[:size]) for size in self.buckets}

    def run(self, rows: Array) -> Outputs:
        """Outputs of rows (B, ...), for any B of at least 1."""
        largest = self.buckets[-1]
        if len(rows) <= largest:
            return self._run_padded(rows)
        parts = [
            self._run_padded(rows[start : start + largest])
            for start in range(0, len(rows), largest)
        ]
        return Outputs.joined(parts)

    def expected_seconds(self, rows: int) -> float:
        """Seconds that a run of `rows` needs, by the times of its buckets at the start."""
        whole, rest = divmod(rows, self.buckets[-1])
        seconds = whole * self._seconds[self.buckets[-1]]
        return seconds + (self._seconds[self._bucket(rest)] if rest else 0.0)

    def _affordable_sizes(self, probe: Array) -> tuple[int, ...]:
        """Powers of two up to the first whose run is slow: a larger batch would gain nothing."""
        sizes: list[int] = []
        for size in _bucket_sizes(len(probe)):
            sizes.append(size)
            # Twice, for the first run of a size also sets up its memory.
            if min(self._time(probe[:size]), self._time(probe[:size])) > SLOW_SECONDS:
                break
        return tuple(sizes)

    def _run_padded(self, rows: Array) -> Outputs:
        missing = self._bucket(len(rows)) - len(rows)
        if not missing:
            return self._run_exactly(rows)
        padding = np.zeros((missing, *rows.shape[1:]), rows.dtype)
        return self._run_exactly(np.concatenate((rows, padding))).part(slice(0, len(rows)))

    def _bucket(self, rows: int) -> int:
        return next(size for size in self.buckets if size >= rows)

    def _run_exactly(self, rows: Array) -> Outputs:
        return Outputs(*self._session.run(OUTPUTS, {self.signature.name: rows}))

    def _time(self, rows: Array) -> float:
        started = perf_counter()
        self._run_exactly(rows)
        return perf_counter() - started


def row_exact_buckets(
    run: Callable[[Array], Outputs], probe: Array, sizes: tuple[int, ...]
) -> tuple[int, ...]:
    """The sizes at which every row gets the bits that it gets at the largest such size.

    `sizes` ascend; `probe` holds as many rows as the largest. A size whose own answers
    depend on the order of the rows cannot be the reference. A single row always can.
    """
    for largest in reversed(sizes):
        rows = probe[:largest]
        reference = run(rows)
        if _same(run(rows[::-1].copy()), reference, slice(None, None, -1)):
            break
    smaller = [size for size in sizes if size < largest]
    buckets = (*(size for size in smaller if _agrees(run, rows, reference, size)), largest)
    dropped = [size for size in sizes if size not in buckets]
    logger("protectee").info("warm", buckets=list(buckets), dropped_buckets=dropped)
    return buckets


def _agrees(run: Callable[[Array], Outputs], rows: Array, reference: Outputs, size: int) -> bool:
    # The first rows stay where they are, the last rows move to the front.
    ends = (slice(0, size), slice(len(rows) - size, len(rows)))
    return all(_same(run(rows[end].copy()), reference, end) for end in ends)


def _same(got: Outputs, reference: Outputs, rows: slice) -> bool:
    pairs = zip(got.arrays(), reference.arrays(), strict=True)
    return all(array.tobytes() == expected[rows].tobytes() for array, expected in pairs)


def probe_rows(signature: TensorSignature, count: int) -> Array:
    """`count` rows of noise that fit the signature, the same at every start."""
    rng = np.random.default_rng(0)
    dtype = DATATYPES[signature.datatype]
    shape = (count, *(max(extent, 1) for extent in signature.shape[1:]))
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 100, size=shape).astype(dtype)


def open_session(bundle: Bundle, threads: int) -> Any:
    """A session that computes with `threads` threads.

    Raises BundleCorrupt for an invalid graph, and for one with weights in another file.
    """
    require_no_external_data(bundle.protectee_path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # The cores are shared with gRPC and with the other services.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(
            bundle.protectee_path, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise BundleCorrupt(
            f"{bundle.protectee_path}: ONNX Runtime cannot load it; refit the bundle from a "
            f"valid ONNX file ({type(error).__name__})"
        ) from error


def require_signature(session: Any, bundle: Bundle) -> None:
    """Require the graph's input and outputs to be those of the manifest; BundleCorrupt."""
    inputs = [tensor.name for tensor in session.get_inputs()]
    outputs = {tensor.name for tensor in session.get_outputs()}
    name = bundle.manifest.input.name
    if inputs != [name] or not outputs.issuperset(OUTPUTS):
        raise BundleCorrupt(
            f"{bundle.protectee_path}: expected input {name} and outputs {', '.join(OUTPUTS)}, "
            f"got {', '.join(inputs)} and {', '.join(sorted(outputs))}; refit the bundle"
        )


def _bucket_sizes(max_batch_rows: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to the least power of two that holds `max_batch_rows`."""
    return tuple(1 << power for power in range((max_batch_rows - 1).bit_length() + 1))

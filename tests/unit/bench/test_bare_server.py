"""The yardstick of `queen bench serve`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from queen.api.oip import open_inference_pb2 as oip
from queen.bench.bare_server import BareServicer
from queen.bench.load import build_requests
from queen.bundle import open_bundle
from tests.bundles import make_bundle


async def test_it_answers_the_clean_probabilities_of_the_model(tmp_path: Path) -> None:
    """No defense stands between the model and its answers."""
    small = make_bundle(tmp_path / "bundle")
    session = onnxruntime.InferenceSession(open_bundle(small.path).protectee_path)
    (request, *_) = build_requests("small", "x", small.inputs, 16)
    request.id = "seven"
    response: oip.ModelInferResponse = await BareServicer(session).ModelInfer(request, None)
    answers = np.frombuffer(response.raw_output_contents[0], "<f4").reshape(16, -1)
    raised = np.exp(small.model.logits(small.inputs[:16]))
    np.testing.assert_allclose(answers, raised / raised.sum(axis=1, keepdims=True), rtol=1e-4)
    assert (response.id, list(response.outputs[0].shape)) == ("seven", [16, 4])

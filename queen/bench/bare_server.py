"""A server of the same model without a defense, grpc.aio and ONNX Runtime alone: the yardstick.

    python -m queen.bench.bare_server MODEL.onnx

prints its address, then serves `probabilities` until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import numpy as np
import onnxruntime

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc


class BareServicer(oip_grpc.GRPCInferenceServiceServicer):
    """ModelInfer over raw FP32 tensors, in the event loop: no thread hop, no checks."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    async def ModelInfer(  # noqa: N802 - the protocol names it
        self, request: oip.ModelInferRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> oip.ModelInferResponse:
        """Run the model on the input and answer its probabilities."""
        x = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(request.inputs[0].shape)
        answers = self._session.run(["probabilities"], {self._input: x})[0]
        response = oip.ModelInferResponse(model_name=request.model_name, id=request.id)
        response.outputs.add(name="probabilities", datatype="FP32", shape=answers.shape)
        response.raw_output_contents.append(answers.tobytes())
        return response


async def serve(model: str) -> None:
    """Serve `model` on a free port of loopback until cancelled."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    server = grpc.aio.server()
    oip_grpc.add_GRPCInferenceServiceServicer_to_server(BareServicer(session), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))

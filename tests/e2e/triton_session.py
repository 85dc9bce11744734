"""Run by tritonclient's own interpreter: asks a door and prints what it got, as JSON.

    python triton_session.py ENDPOINT KEY

It lives in a process and an environment of its own: two copies of the protocol's messages
cannot share one interpreter.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

endpoint, key = sys.argv[1:]
client = triton.InferenceServerClient(endpoint)
headers = {"authorization": f"Bearer {key}"}
rows = np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, 8)


def tensor(name="x", values=rows, datatype="FP32", shape=None):
    """An input with raw contents; `shape` lies about it if given."""
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    if shape is not None:
        made.set_shape(shape)
    return made


def refusal(inputs, model="small", headers=headers):
    """Code and words of the error that a bad request gets."""
    try:
        client.infer(model, inputs, headers=headers)
    except InferenceServerException as error:
        return [str(error.status()), error.message()]
    return ["OK", ""]


answer = client.infer("small", [tensor()], headers=headers, request_id="r-1")
metadata = client.get_model_metadata("small", as_json=True)
sys.stdout.write(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": client.is_model_ready("small"),
            "unknown_ready": client.is_model_ready("other"),
            "server": client.get_server_metadata().name,
            "input": metadata["inputs"][0]["name"],
            "id": answer.get_response().id,
            "probabilities": answer.as_numpy("probabilities").tolist(),
            "refusals": {
                "name": refusal([tensor("y")]),
                "shape": refusal([tensor(values=rows[:, :5].copy())]),
                "type": refusal([tensor(values=rows.astype(np.float64), datatype="FP64")]),
                "bytes": refusal([tensor(shape=[4, 8])]),
                "nan": refusal([tensor(values=np.full_like(rows, np.nan))]),
                "model": refusal([tensor()], model="other"),
                "no key": refusal([tensor()], headers=None),
                "huge": refusal([tensor(values=np.zeros((3_276_800, 8), np.float32))]),
            },
            "after": client.infer("small", [tensor()], headers=headers)
            .as_numpy("probabilities")
            .tolist(),
        }
    )
)

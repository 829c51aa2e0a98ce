"""
Send requests to ensembles over both protocols and print what came of them, as JSON.

Prints one object per protocol, ``http`` and ``grpc``, with the same keys in both.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException

TYPES = {"u": "UINT8", "i": "INT32", "f": "FP32", "O": "BYTES"}
LEFT = np.arange(32, dtype=np.int32).reshape(2, 16)
RIGHT = np.full((2, 16), 3, np.int32)


def ask(client, module, model, outputs=None, **values):
    """Return the answer of a model to arrays by input name."""
    given = []
    for name, array in values.items():
        tensor = module.InferInput(name, list(array.shape), TYPES[array.dtype.kind])
        tensor.set_data_from_numpy(array)
        given.append(tensor)
    return client.infer(model, given, outputs=outputs, request_id="x")


def failure(client, module, model, **values):
    """Return the status and the text of the error a model answers with."""
    try:
        ask(client, module, model, **values)
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


def text(row):
    """Return a string element as text."""
    return row if isinstance(row, str) else row.decode()


def classes(client, module):
    """Return the best two classes of two pictures: a red one and a blue one."""
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    pictures[0, ..., 0] = pictures[1, ..., 2] = 255
    wanted = [module.InferRequestedOutput("CLASSES", class_count=2)]
    result = ask(client, module, "pictures", wanted, IMAGE=pictures)
    return [[text(row) for row in rows] for rows in result.as_numpy("CLASSES")]


def graph(client, module):
    """Return whether the diamond computed what it should, and one output of it alone."""
    result = ask(client, module, "diamond", INPUT0=LEFT, INPUT1=RIGHT)
    only = ask(
        client, module, "diamond", [module.InferRequestedOutput("OUTPUT1")],
        INPUT0=LEFT, INPUT1=RIGHT,
    )  # fmt: skip
    return [
        bool((result.as_numpy("OUTPUT0") == 4 * LEFT).all()),
        bool((result.as_numpy("OUTPUT1") == 4 * RIGHT).all()),
        only.as_numpy("OUTPUT0") is None,
        only.as_numpy("OUTPUT1").shape == (2, 16),
    ]


def outcomes(client, module):
    """Return everything one protocol has to say."""
    words = np.array([[b"1"] * 15 + [b"no number"]], object)
    row = np.arange(16, dtype=np.int32)
    return {
        "classes": classes(client, module),
        "graph": graph(client, module),
        "row": ask(client, module, "row", INPUT0=row).as_numpy("OUTPUT0").tolist(),
        "shape": failure(client, module, "loose", INPUT0=LEFT[:, :8], INPUT1=RIGHT[:, :8]),
        "backend": failure(client, module, "words", INPUT0=words, INPUT1=words),
        "sequence": sequence(client, module),
        "unavailable": failure(client, module, "dangling", INPUT0=row),
    }


def sequence(client, module):
    """Return the answers of a sequence of three requests, and what the missing start costs."""
    found = []
    for value, start in ((5, True), (6, False), (7, False)):
        given = module.InferInput("INPUT", [1, 1], "INT32")
        given.set_data_from_numpy(np.full((1, 1), value, np.int32))
        result = client.infer(
            "counting", [given], sequence_id=9, sequence_start=start, sequence_end=value == 7
        )
        found.append(result.as_numpy("OUTPUT").item())
    values = np.ones((1, 1), np.int32)
    return [found, failure(client, module, "counting", INPUT=values)]


def statistics(client):
    """Return model -> requests, executions and rows."""
    found = client.get_inference_statistics()["model_stats"]
    return {
        one["name"]: [
            int(one["inference_stats"]["success"]["count"]),
            int(one["execution_count"]),
            int(one["inference_count"]),
        ]
        for one in found
    }


def main():
    """Ask over both protocols and print."""
    with httpclient.InferenceServerClient(sys.argv[1]) as http:
        found = {"http": outcomes(http, httpclient), "statistics": statistics(http)}
        with grpcclient.InferenceServerClient(sys.argv[2]) as grpc:
            found["grpc"] = outcomes(grpc, grpcclient)
            found["platform"] = grpc.get_model_metadata("diamond").platform
    print(json.dumps(found))


if __name__ == "__main__":
    main()

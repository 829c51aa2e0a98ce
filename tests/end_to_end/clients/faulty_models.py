"""
Ask models that fail, with the real client library, and print what came of it as JSON.

Arguments: the HTTP address, the gRPC address, then the models. Between them ``echo`` is asked.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException


def ask(library, client, model, value):
    """Return the answer's first number, or the status and the text of the error."""
    tensor = library.InferInput("INPUT0", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.full((1, 2), value, np.float32))
    try:
        return float(client.infer(model, [tensor]).as_numpy("OUTPUT0")[0, 0])
    except InferenceServerException as error:
        return [error.status(), error.message()]


def main():
    """Ask each model often enough to fail, and echo after each."""
    http, grpc, *models = sys.argv[1:]
    seen = {}
    for name, library, address in (("http", httpclient, http), ("grpc", grpcclient, grpc)):
        client = library.InferenceServerClient(address)
        seen[name] = {
            model: {
                "answers": [ask(library, client, model, value) for value in range(40)],
                "echo": ask(library, client, "echo", 7),
            }
            for model in models
        }
        client.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()

"""
Send one request to the slow model over gRPC and report on it, line by line.

Prints ``sent``; then, once a line came in on standard input, ``ready`` or ``not ready`` as
the server says on the same channel; then what came of the request.
"""

import queue
import sys

import numpy as np
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException


def readiness(client):
    """Return what the server says of itself."""
    try:
        return "ready" if client.is_server_ready(client_timeout=5) else "not ready"
    except InferenceServerException as error:
        return "not ready" if error.status() == "StatusCode.UNAVAILABLE" else str(error)


def main():
    """Send, ask, wait, print."""
    answers = queue.SimpleQueue()
    given = grpcclient.InferInput("INPUT0", [1, 1], "FP32")
    given.set_data_from_numpy(np.full((1, 1), 7, np.float32))
    with grpcclient.InferenceServerClient(sys.argv[1]) as client:
        assert client.is_server_live()
        client.async_infer("slow", [given], lambda result, error: answers.put((result, error)))
        print("sent", flush=True)
        sys.stdin.readline()
        print(readiness(client), flush=True)
        result, error = answers.get(timeout=60)
    print(error if error is not None else f"OK {result.as_numpy('OUTPUT0')[0].tolist()}")


if __name__ == "__main__":
    main()

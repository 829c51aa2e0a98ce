"""
Send requests to several models at once; fail unless each is answered with what it asked.

Arguments: the address of gRPC, then ``<model>:<requests>`` for each model. Every model
waits for its last answer before it sends the next request.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tritonclient.grpc as over_grpc


def ask(client, model, count):
    """Send the requests of one model, one after the other."""
    tensor = over_grpc.InferInput("INPUT0", [1, 1], "FP32")
    for number in range(count):
        tensor.set_data_from_numpy(np.full((1, 1), number, np.float32))
        result = client.infer(model, [tensor])
        assert result.as_numpy("OUTPUT0").tolist() == [[number]]


def main():
    """Ask every model in a thread of its own."""
    address, *wanted = sys.argv[1:]
    with (
        over_grpc.InferenceServerClient(address) as client,
        ThreadPoolExecutor(len(wanted)) as threads,
    ):
        client.is_server_live()
        asked = []
        for word in wanted:
            model, count = word.split(":")
            asked.append(threads.submit(ask, client, model, int(count)))
        for one in asked:
            one.result()


if __name__ == "__main__":
    main()

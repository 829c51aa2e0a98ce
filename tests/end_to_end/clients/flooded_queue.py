"""
Flood a slow model with requests of low priority, then send a few of high priority.

Arguments: the address of gRPC, the model, how many low ones, how many high ones. Prints the
values of the answers in the order they came: requests of high priority have negative ones.
"""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as grpcclient

SECONDS = 60


def main():
    """Send, wait for the first answer, send again, and print what came."""
    address, model, *counts = sys.argv[1:]
    low, high = (range(1, int(count) + 1) for count in counts)
    answers = queue.SimpleQueue()
    with grpcclient.InferenceServerClient(address) as client:

        def send(value, priority):
            given = grpcclient.InferInput("INPUT0", [1, 1], "FP32")
            given.set_data_from_numpy(np.full((1, 1), value, np.float32))
            client.async_infer(
                model, [given], lambda result, error: answers.put((result, error)),
                priority=priority,
            )  # fmt: skip

        def receive():
            result, error = answers.get(timeout=SECONDS)
            return str(error) if error is not None else int(result.as_numpy("OUTPUT0")[0, 0])

        # Calls made before the channel is connected are sent in any order.
        assert client.is_server_live()
        for value in low:
            send(value, 2)
        came = [receive()]
        for value in high:
            send(-value, 1)
        came += [receive() for _ in range(len(low) + len(high) - 1)]
    # What is answered twice would be here.
    json.dump({"came": came, "left": answers.qsize()}, sys.stdout)


if __name__ == "__main__":
    main()

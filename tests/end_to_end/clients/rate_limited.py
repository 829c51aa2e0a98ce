"""
Send requests to several models at once and print when each was answered.

Arguments: the address of gRPC, then ``<model>:<requests>`` for each model. Every model
waits for its last answer before it sends the next request. Prints, as JSON, model ->
[sent, answered] of each request in seconds since the first one was sent.
"""

import json
import sys
import threading
import time

import numpy as np
import tritonclient.grpc as over_grpc


def ask(client, model, count, times, start):
    """Send the requests of one model, one after the other, and note the times."""
    tensor = over_grpc.InferInput("INPUT0", [1, 1], "FP32")
    for number in range(count):
        tensor.set_data_from_numpy(np.full((1, 1), number, np.float32))
        sent = time.monotonic() - start
        result = client.infer(model, [tensor])
        assert result.as_numpy("OUTPUT0").tolist() == [[number]]
        times.append((sent, time.monotonic() - start))


def main():
    """Ask every model in a thread of its own."""
    address, *wanted = sys.argv[1:]
    times = {}
    with over_grpc.InferenceServerClient(address) as client:
        client.is_server_live()
        start = time.monotonic()
        threads = []
        for word in wanted:
            model, count = word.split(":")
            times[model] = []
            arguments = (client, model, int(count), times[model], start)
            threads.append(threading.Thread(target=ask, args=arguments))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    json.dump(times, sys.stdout)


if __name__ == "__main__":
    main()

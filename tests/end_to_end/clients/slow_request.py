"""Send one request to the slow model over gRPC; print ``sent``, then what came of it."""

import queue
import sys

import numpy as np
import tritonclient.grpc as grpcclient


def main():
    """Send, wait, print."""
    answers = queue.SimpleQueue()
    given = grpcclient.InferInput("INPUT0", [1, 1], "FP32")
    given.set_data_from_numpy(np.full((1, 1), 7, np.float32))
    with grpcclient.InferenceServerClient(sys.argv[1]) as client:
        assert client.is_server_live()
        client.async_infer("slow", [given], lambda result, error: answers.put((result, error)))
        print("sent", flush=True)
        result, error = answers.get(timeout=60)
    print(error if error is not None else f"OK {result.as_numpy('OUTPUT0')[0].tolist()}")


if __name__ == "__main__":
    main()

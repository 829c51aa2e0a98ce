"""Begin a request to the ensemble ``slow_pair`` over gRPC, take it back, and print ``done``."""

import sys
import time

import numpy as np
import tritonclient.grpc as grpcclient


def failures(client, model):
    """Return how many requests of a model failed."""
    (found,) = client.get_inference_statistics(model, as_json=True)["model_stats"]
    return int(found["inference_stats"]["fail"].get("count", 0))


def main():
    """Send, cancel, wait until the server has noticed."""
    given = grpcclient.InferInput("INPUT0", [1, 1], "FP32")
    given.set_data_from_numpy(np.ones((1, 1), np.float32))
    with grpcclient.InferenceServerClient(sys.argv[1]) as client:
        call = client.async_infer("slow_pair", [given], lambda result, error: None)
        time.sleep(0.3)
        call.cancel()
        for _ in range(100):
            if failures(client, "slow_pair"):
                break
            time.sleep(0.05)
    print("done")


if __name__ == "__main__":
    main()

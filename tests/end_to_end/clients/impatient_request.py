"""
Send requests to a model over gRPC, each with a deadline in seconds; print what came of each.

    python impatient_request.py ADDRESS MODEL SECONDS...
"""

import sys

import numpy as np
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException


def main():
    """Send one after the other."""
    address, model, *limits = sys.argv[1:]
    given = grpcclient.InferInput("INPUT0", [1, 1], "FP32")
    given.set_data_from_numpy(np.full((1, 1), 7, np.float32))
    with grpcclient.InferenceServerClient(address) as client:
        for limit in limits:
            try:
                result = client.infer(model, [given], client_timeout=float(limit))
                print("OK", result.as_numpy("OUTPUT0")[0].tolist())
            except InferenceServerException as error:
                print(error.status())


if __name__ == "__main__":
    main()

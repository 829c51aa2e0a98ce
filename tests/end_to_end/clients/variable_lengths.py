"""
Send requests of different lengths at the same time over gRPC, then HTTP; print the answers.

Arguments: the addresses of gRPC and HTTP, the model, the lengths with commas. A request of
length n is n elements of n. Prints each protocol's answers, output name -> values, and the
statistics of the model afterwards.
"""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http


def inputs(module, length):
    """Return the input of a request."""
    tensor = module.InferInput("INPUT0", [1, length], "FP32")
    tensor.set_data_from_numpy(np.full((1, length), length, np.float32))
    return [tensor]


def outputs(result, names):
    """Return output name -> values."""
    return {name: result.as_numpy(name).tolist() for name in names}


def ask_grpc(client, model, lengths, names):
    """Send all at once."""
    done = queue.SimpleQueue()
    for i, length in enumerate(lengths):
        client.async_infer(
            model,
            inputs(over_grpc, length),
            lambda result, error, i=i: done.put((i, result, error)),
        )
    found = {}
    for _ in lengths:
        i, result, error = done.get(timeout=30)
        if error is not None:
            raise error
        found[i] = outputs(result, names)
    return [found[i] for i in range(len(lengths))]


def ask_http(client, model, lengths, names):
    """Send all at once, on a connection each."""
    sent = [client.async_infer(model, inputs(over_http, length)) for length in lengths]
    return [outputs(one.get_result(timeout=30), names) for one in sent]


def main():
    """Ask over both protocols, one after the other."""
    grpc_address, http_address, model, lengths = sys.argv[1:]
    lengths = [int(length) for length in lengths.split(",")]
    with (
        over_grpc.InferenceServerClient(grpc_address) as grpc,
        over_http.InferenceServerClient(http_address, concurrency=len(lengths)) as http,
    ):
        metadata = grpc.get_model_metadata(model, as_json=True)
        names = [tensor["name"] for tensor in metadata["outputs"]]
        found = {"inputs": [tensor["name"] for tensor in metadata["inputs"]]}
        for protocol, ask, client in (("grpc", ask_grpc, grpc), ("http", ask_http, http)):
            answers = ask(client, model, lengths, names)
            statistics = grpc.get_inference_statistics(model, as_json=True)["model_stats"][0]
            found[protocol] = {"answers": answers, "statistics": statistics}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

"""
Send the same request over HTTP and gRPC and print ids, statistics and metrics.

Arguments: the addresses of HTTP, gRPC and metrics, then the models.
"""

import json
import sys
import urllib.request

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

ARRAY = np.arange(6, dtype=np.float32).reshape(1, 6)


def ask(module, client, model, request_id):
    """Send the request; return the answer's id and whether it was right."""
    tensor = module.InferInput("INPUT0", [1, 6], "FP32")
    tensor.set_data_from_numpy(ARRAY)
    result = client.infer(model, [tensor], request_id=request_id)
    response = result.get_response()
    found = response["id"] if isinstance(response, dict) else response.id
    return [found, bool((result.as_numpy("OUTPUT0") == ARRAY).all())]


def main():
    """Ask every model twice over each protocol."""
    http_address, grpc_address, metrics_address, *models = sys.argv[1:]
    with (
        over_http.InferenceServerClient(http_address) as http,
        over_grpc.InferenceServerClient(grpc_address) as grpc,
    ):
        answers = {
            model: [
                ask(module, client, model, f"{module.__name__}-{i}")
                for module, client in ((over_http, http), (over_grpc, grpc))
                for i in range(2)
            ]
            for model in models
        }
        statistics = {
            model: grpc.get_inference_statistics(model, as_json=True)["model_stats"][0]
            for model in models
        }
    with urllib.request.urlopen(f"http://{metrics_address}/metrics", timeout=30) as page:
        metrics = page.read().decode()
    json.dump({"answers": answers, "statistics": statistics, "metrics": metrics}, sys.stdout)


if __name__ == "__main__":
    main()

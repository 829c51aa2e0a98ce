"""
Stream requests to decoupled ensembles and print what came of them, as JSON.

Arguments: the server's gRPC address, then ``all`` or ``cancel``.
"""

import json
import queue
import sys
import time

import numpy as np
import tritonclient.grpc as grpcclient

ENSEMBLES = (
    "simple_repeat", "sequence_repeat", "fan_repeat", "repeat_square", "nested_square",
)  # fmt: skip


def tensor(name, values, kind="UINT32"):
    """Return one input."""
    array = np.array(values, {"UINT32": np.uint32, "INT32": np.int32}[kind])
    given = grpcclient.InferInput(name, list(array.shape), kind)
    given.set_data_from_numpy(array)
    return given


class Stream:
    """One stream and what came on it."""

    def __init__(self, url):
        self.client = grpcclient.InferenceServerClient(url)
        self.seen = queue.Queue()
        self.client.start_stream(lambda result, error: self.seen.put((result, error)))

    def send(self, model, values, request_id="", delay_ms=0):
        """Send the values; each of them is to be a response."""
        inputs = [
            tensor("IN", values, "INT32"),
            tensor("DELAY", [delay_ms] * len(values)),
            tensor("WAIT", [0]),
        ]
        self.client.async_stream_infer(
            model, inputs, request_id=request_id, enable_empty_final_response=True
        )

    def take(self):
        """Return the next message as id, number, whether it is final, and error."""
        result, error = self.seen.get(timeout=30)
        if error is not None:
            return ["", None, True, error.message()]
        response = result.get_response()
        output = result.as_numpy("OUT")
        number = None if output is None else int(output[0])
        return [response.id, number, response.parameters["triton_final_response"].bool_param, ""]

    def numbers(self, requests):
        """Return the numbers of each request, once they have all ended."""
        found = {}
        while requests:
            request_id, number, final, error = self.take()
            found.setdefault(request_id, []).append(error or number)
            requests -= final
        return found

    def close(self, *, cancel=False):
        """Close it; what has not been answered is taken back when asked to."""
        self.client.stop_stream(cancel_requests=cancel)
        self.client.close()


def one_by_one(stream):
    """Return what each ensemble makes of the same numbers, and of none."""
    found = {}
    for model in ENSEMBLES:
        stream.send(model, [3, 1, 2], "three")
        found[model] = [stream.numbers(1)["three"]]
        stream.send(model, [], "none")
        found[model].append(stream.numbers(1)["none"])
    return found


def hidden_end(stream):
    """Return the numbers of messages when the mere end is not asked for."""
    stream.client.async_stream_infer(
        "simple_repeat",
        [tensor("IN", [5], "INT32"), tensor("DELAY", [0]), tensor("WAIT", [0])],
        request_id="hidden",
    )
    first = stream.take()
    stream.send("simple_repeat", [], "after")
    return [first, stream.take()]


def interleaved(stream):
    """Return the numbers of requests that are answered at the same time."""
    for index in range(10):
        stream.send(ENSEMBLES[index % 5], [2, 1, 2], str(index), delay_ms=10)
    return stream.numbers(10)


def failing(stream):
    """Return what comes of a request one of whose responses fails, among others."""
    stream.send("sequence_repeat", [1, 2, 3], "before", delay_ms=50)
    stream.send("looked_up", [0, 2, 7, 1], "bad", delay_ms=50)
    stream.send("looked_up", [1, 0], "good", delay_ms=100)
    return stream.numbers(3)


def counts(client, model):
    """Return how many requests of a model succeeded and failed."""
    (found,) = client.get_inference_statistics(model, as_json=True)["model_stats"]
    stats = found["inference_stats"]
    return [int(stats[kind].get("count", 0)) for kind in ("success", "fail")]


def cancel(url):
    """Leave in the middle of a request; return what came before and what the server counted."""
    stream = Stream(url)
    with grpcclient.InferenceServerClient(url) as client:
        before = {model: counts(client, model) for model in ("sequence_repeat", "repeat", "echo")}
        stream.send("sequence_repeat", [1] * 1000, "long", delay_ms=20)
        first = stream.take()
        stream.close(cancel=True)
        for _ in range(200):
            after = {model: counts(client, model) for model in before}
            if all(after[model][1] > before[model][1] for model in ("sequence_repeat", "repeat")):
                break
            time.sleep(0.05)
    more = {
        model: [a - b for a, b in zip(after[model], before[model], strict=True)] for model in before
    }
    return {"first": first, "more": more}


def main():
    """Send everything, print everything."""
    url = sys.argv[1]
    if sys.argv[2] == "cancel":
        print(json.dumps(cancel(url)))
        return
    stream = Stream(url)
    seen = {
        "one_by_one": one_by_one(stream),
        "hidden_end": hidden_end(stream),
        "interleaved": interleaved(stream),
        "failing": failing(stream),
    }
    seen["config"] = {
        model: stream.client.get_model_config(model).config.model_transaction_policy.decoupled
        for model in (*ENSEMBLES, "echo")
    }
    stream.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()

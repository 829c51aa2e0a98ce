"""
Streams with decoupled and iterative models through the real gRPC clients, printed as JSON.

Arguments: what to do, the gRPC address, and what that takes.
"""

import asyncio
import json
import queue
import sys

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as aioclient


def tensor(name, datatype, *values):
    """Return an input of one dimension."""
    types = {"INT32": np.int32, "UINT32": np.uint32}
    given = grpcclient.InferInput(name, [len(values)], datatype)
    return given.set_data_from_numpy(np.array(values, types[datatype]))


def repeat(*values, delay_ms=0):
    """Return the inputs of ``repeat_int32``."""
    return [
        tensor("IN", "INT32", *values),
        tensor("DELAY", "UINT32", *[delay_ms] * len(values)),
        tensor("WAIT", "UINT32", 0),
    ]


def count(number):
    """Return the input of the models that count down, as a batch of one."""
    given = grpcclient.InferInput("INPUT", [1, 1], "INT32")
    return [given.set_data_from_numpy(np.array([[number]], np.int32))]


def echo(value):
    """Return the input of ``echo``."""
    given = grpcclient.InferInput("INPUT0", [1, 1], "FP32")
    return [given.set_data_from_numpy(np.array([[value]], np.float32))]


def told(result, error):
    """Return [id, outputs as lists, whether it is final], or the text of an error."""
    if error is not None:
        return str(error)
    response = result.get_response()
    outputs = [result.as_numpy(one.name).ravel().tolist() for one in response.outputs]
    return [response.id, outputs, response.parameters["triton_final_response"].bool_param]


def is_final(said):
    """Whether a request has had its last response."""
    return isinstance(said, str) or said[2]


class Talk:
    """One stream of the synchronous client."""

    def __init__(self, address):
        self.client = grpcclient.InferenceServerClient(address)
        self.said = queue.Queue()
        self.client.start_stream(lambda result, error: self.said.put(told(result, error)))

    def ask(self, model, inputs, id, **more):
        """Send a request that is told of its end."""
        self.client.async_stream_infer(
            model, inputs, request_id=id, enable_empty_final_response=True, **more
        )

    def hear(self, finals):
        """Return what is said until so many requests have ended."""
        heard = []
        while finals:
            heard.append(self.said.get(timeout=30))
            finals -= is_final(heard[-1])
        return heard

    def close(self, **more):
        """End the stream."""
        self.client.stop_stream(**more)
        self.client.close()


def sync(address):
    """Every model, alone and at once, with and without the empty final response."""
    talk = Talk(address)
    found = {}
    for name, model, inputs in (
        ("repeat", "repeat_int32", repeat(4, 2, 0)),
        ("nothing", "repeat_int32", repeat()),
        ("square", "square_int32", [tensor("IN", "INT32", 3)]),
        ("iterative", "iterative_decoupled", count(3)),
        ("iterative_unary", "iterative_unary", count(3)),
        ("echo", "echo", echo(7)),
        ("unknown", "no", echo(7)),
    ):
        talk.ask(model, inputs, name)
        found[name] = talk.hear(1)
    talk.client.async_stream_infer("repeat_int32", repeat(5, 6), request_id="silent")
    talk.ask("echo", echo(1), "mark")
    found["silent"] = sorted([talk.said.get(timeout=30) for _ in range(3)])
    talk.ask("repeat_int32", repeat(1, 2, 3, delay_ms=50), "a")
    talk.ask("echo", echo(9), "b")
    talk.ask("square_int32", [tensor("IN", "INT32", 4)], "c")
    talk.ask("repeat_int32", repeat(4, 5, 6, delay_ms=50), "d")
    found["mixed"] = talk.hear(4)
    talk.close()
    with grpcclient.InferenceServerClient(address) as client:
        found["unary"] = client.infer("iterative_unary", count(4)).as_numpy("OUTPUT").tolist()
        try:
            client.infer("square_int32", [tensor("IN", "INT32", 3)])
        except grpcclient.InferenceServerException as error:
            found["refused"] = [error.status(), error.message()]
    print(json.dumps(found))


async def stream_infer(address):
    """Many requests on one stream of the asyncio client, which cannot ask for the mere end."""
    async with aioclient.InferenceServerClient(address) as client:

        async def requests():
            for number in range(30):
                yield {
                    "model_name": ("square_int32", "iterative_decoupled")[number % 2],
                    "inputs": count(number + 1) if number % 2 else [tensor("IN", "INT32", number)],
                    "request_id": str(number),
                }

        replies = [told(*one) async for one in client.stream_infer(requests())]
    print(json.dumps(replies))


def cancelled(address):
    """Leave in the middle of an endless answer, then ask again."""
    talk = Talk(address)
    talk.ask("square_int32", [tensor("IN", "INT32", 2_000_000_000)], "a")
    heard = [talk.said.get(timeout=30) for _ in range(100)]
    talk.close(cancel_requests=True)
    talk = Talk(address)
    talk.ask("square_int32", [tensor("IN", "INT32", 2)], "b")
    heard.append(talk.hear(1))
    talk.close()
    print(json.dumps([len(heard), heard[-1]]))


def slow(address, number):
    """Read one response, wait for a line, and read the others."""
    number = int(number)

    async def talk():
        async with aioclient.InferenceServerClient(address) as client:

            async def requests():
                yield {"model_name": "square_int32", "inputs": [tensor("IN", "INT32", number)]}

            heard = 0
            async for result, error in client.stream_infer(requests()):
                assert error is None, error
                assert result.as_numpy("OUT").tolist() == [number]
                heard += 1
                if heard == 1:
                    print("paused", flush=True)
                    # The loop is not run while this waits: nothing is read.
                    sys.stdin.readline()
        print(heard)

    asyncio.run(talk())


def stopped(address):
    """Say when the first response is here, and what came until the end."""
    talk = Talk(address)
    talk.ask("repeat_int32", repeat(*range(8), delay_ms=100), "a")
    heard = [talk.said.get(timeout=30)]
    print("streaming", flush=True)
    while not is_final(heard[-1]):
        heard.append(talk.said.get(timeout=30))
    print(json.dumps(heard))
    talk.close(cancel_requests=True)


def crowd(address):
    """Hundreds of iterative requests at once, some of them taken back."""

    async def one(client, number):
        call = client.infer("iterative_unary", count(1 + number % 7), client_timeout=30)
        if number % 5:
            return int((await call).as_numpy("OUTPUT")[0, 0])
        task = asyncio.ensure_future(call)
        await asyncio.sleep(0.001 * (number % 11))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None

    async def all_of_them():
        async with aioclient.InferenceServerClient(address) as client:
            return await asyncio.gather(*(one(client, number) for number in range(300)))

    answers = asyncio.run(all_of_them())
    print(json.dumps([answers.count(0), answers.count(None)]))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "stream_infer":
        asyncio.run(stream_infer(*arguments))
    else:
        {f.__name__: f for f in (sync, cancelled, slow, stopped, crowd)}[what](*arguments)

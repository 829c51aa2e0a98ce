"""Real clients, each in a process of its own: grpcio must not be imported into the server's."""

import asyncio
import sys

import pytest

PREAMBLE = """
import queue, sys
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient("127.0.0.1:" + sys.argv[1])

def inputs(array):
    tensor = triton.InferInput("IN", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array)
    return [tensor]

def refusal(model, **options):
    try:
        client.infer(model, inputs(np.zeros(4, np.float32)), **options)
    except triton.InferenceServerException as error:
        return error.status(), error.message()
"""

UNARY = """
array = np.arange(16, dtype=np.float32).reshape(1, 16)
reply = client.infer("echo", inputs(array), request_id="7")
assert (reply.as_numpy("IN") == array).all()
assert reply.get_response().id == "7"
assert client.is_server_ready() and client.is_model_ready("echo")
assert refusal("missing") == (
    "StatusCode.NOT_FOUND", "Request for unknown model: 'missing' is not found")
assert refusal("broken") == ("StatusCode.INTERNAL", "internal error")
"""

LARGE = """
array = np.random.default_rng(0).random(5_000_000, np.float32)
for _ in range(3):
    assert (client.infer("echo", inputs(array)).as_numpy("IN") == array).all()
"""

COMPRESSED = """
array = np.tile(np.arange(1000, dtype=np.float32), 1000)
for size in (10, 1_000_000):
    for algorithm in ("gzip", "deflate"):
        reply = client.infer("echo", inputs(array[:size]), compression_algorithm=algorithm)
        assert (reply.as_numpy("IN") == array[:size]).all()
"""

STREAM = """
answers = queue.Queue()
client.start_stream(lambda result, error: answers.put((result, error)))
array = np.zeros(4, np.float32)
for n in range(50):
    client.async_stream_infer("missing" if n == 20 else "echo", inputs(array), request_id=str(n))
for n in range(50):
    result, error = answers.get(timeout=60)
    if n == 20:
        assert error.message() == "Request for unknown model: 'missing' is not found"
    else:
        assert error is None and result.get_response().id == str(n)
        assert result.get_response().parameters["triton_final_response"].bool_param
client.stop_stream()
"""

DEADLINE = """
status, _ = refusal("held", client_timeout=0.2)
assert status == "StatusCode.DEADLINE_EXCEEDED", status
"""

CANCEL = """
answers = queue.Queue()
array = np.zeros(4, np.float32)
call = client.async_infer("held", inputs(array), callback=lambda result, error: answers.put(error))
assert client.is_server_live()
call.cancel()
assert "Locally cancelled" in answers.get(timeout=60).message()
"""


async def run(script, port):
    """Run a client's script to its end and return what it complained about."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PREAMBLE + script, str(port), stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()
    return process.returncode, complaint.decode()


@pytest.mark.parametrize(
    "script", [UNARY, LARGE, COMPRESSED, STREAM], ids=["unary", "large", "compressed", "stream"]
)
async def test_tritonclient_is_served(server, script):
    """Triton's own client gets its answers: plain, of 20 MB, compressed and on a stream."""
    code, complaint = await run(script, server.port)
    assert code == 0, complaint


@pytest.mark.parametrize("script", [DEADLINE, CANCEL], ids=["deadline", "cancel"])
async def test_what_tritonclient_gives_up_is_taken_back(server, dataplane, script):
    """A deadline or a cancel at the client reaches the data plane as a cancelled request."""
    code, complaint = await run(script, server.port)
    assert code == 0, complaint
    await dataplane.until(lambda: dataplane.running == 0)
    assert dataplane.cancelled == len(dataplane.requests)

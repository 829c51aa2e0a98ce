"""ModelStreamInfer with models whose requests have any number of responses."""

import asyncio
import gc

import numpy as np
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from inferd.errors import BackendError, InvalidRequest, NotFound
from inferd.frontends.grpc import stream as stream_module
from inferd.protocol.messages import InferResponse
from inferd.scheduling.replies import Reply

REAL_STATUS = {"triton_grpc_error": "true"}
PATH = "/inference.GRPCInferenceService/ModelStreamInfer"


def shown(reply):
    """Return (id, values, whether it is final) of a response."""
    assert reply.error_message == ""
    answer = reply.infer_response
    values = [np.frombuffer(raw, np.int32).tolist() for raw in answer.raw_output_contents]
    return answer.id, values, answer.parameters["triton_final_response"].bool_param


def frame(request):
    """Return a request as it is on the wire."""
    body = request.SerializeToString()
    return b"\0" + len(body).to_bytes(4, "big") + body


def asking_for_the_end(client, **fields):
    """Return a request that wants to be told of the end."""
    request = client.request("many", **fields)
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    return request


async def test_responses_come_as_they_are_made(client, dataplane):
    """Each is marked as final or not."""
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a"))
        source = await dataplane.source("a")
        for value in range(3):
            source.respond(value, final=value == 2)
            assert shown(await stream.recv_message()) == ("a", [[value]], value == 2)
        await stream.end()
        assert await stream.recv_message() is None
    assert source.closed
    assert source.request.received_ns > 0


async def test_response_parameters_are_kept(client, dataplane):
    """Beside the mark."""
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a"))
        (await dataplane.source("a")).respond(1, final=True, note="x")
        parameters = (await stream.recv_message()).infer_response.parameters
        await stream.end()
    assert parameters["note"].string_param == "x"
    assert parameters["triton_final_response"].bool_param is True


async def test_ordinary_requests_keep_their_order_and_nobody_waits_for_another(client, dataplane):
    """Responses of a decoupled model overtake ordinary ones that are held, and the other way."""
    async with client.stream() as stream:
        for model, id in (("held", "1"), ("many", "a"), ("echo", "2"), ("many", "b")):
            await stream.send_message(client.request(model, id=id))
        a, b = await dataplane.source("a"), await dataplane.source("b")
        for source in (b, a, b):
            source.respond(7)
            assert shown(await stream.recv_message()) == (source.request.id, [[7]], False)
        dataplane.release()
        assert [(await stream.recv_message()).infer_response.id for _ in range(2)] == ["1", "2"]
        for source in (a, b):
            source.respond(8, final=True)
            assert shown(await stream.recv_message()) == (source.request.id, [[8]], True)
        await stream.end()
        assert await stream.recv_message() is None


async def test_the_mere_end_is_not_told(client, dataplane):
    """Unless the client asks for it."""
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a"), end=True)
        source = await dataplane.source("a")
        source.respond(1)
        source.put()
        assert shown(await stream.recv_message()) == ("a", [[1]], False)
        assert await stream.recv_message() is None


@pytest.mark.parametrize("version", ["", "3"])
async def test_the_mere_end_is_told_to_a_client_that_asks_for_it(client, dataplane, version):
    """Without outputs, and the model is named as in the request."""
    async with client.stream() as stream:
        request = asking_for_the_end(client, id="a", model_version=version)
        await stream.send_message(request, end=True)
        (await dataplane.source("a")).put()
        reply = await stream.recv_message()
        assert await stream.recv_message() is None
    assert shown(reply) == ("a", [], True)
    answer = reply.infer_response
    assert (answer.model_name, answer.model_version) == ("many", version)
    assert "triton_enable_empty_final_response" not in answer.parameters


async def test_a_final_response_is_all_there_is_to_tell(client, dataplane):
    """No empty one follows it."""
    async with client.stream() as stream:
        await stream.send_message(asking_for_the_end(client, id="a"), end=True)
        (await dataplane.source("a")).respond(1, final=True)
        assert shown(await stream.recv_message()) == ("a", [[1]], True)
        assert await stream.recv_message() is None


@pytest.mark.parametrize("final", [False, True])
async def test_an_error_leaves_the_stream_open(client, dataplane, final):
    """It names the request and the model; further responses follow unless it was the end."""
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a", model_version="3"))
        source = await dataplane.source("a")
        source.put(BackendError("no"), final=final)
        failed = await stream.recv_message()
        if not final:
            source.respond(1, final=True)
            assert shown(await stream.recv_message()) == ("a", [[1]], True)
        await stream.send_message(client.request("echo", id="b"))
        assert (await stream.recv_message()).infer_response.id == "b"
        await stream.end()
    answer = failed.infer_response
    assert (failed.error_message, answer.id) == ("no", "a")
    assert (answer.model_name, answer.model_version) == ("many", "3")
    assert answer.parameters["triton_final_response"].bool_param is final


async def test_a_request_that_is_refused_is_answered(client, dataplane):
    """And the next one is served."""
    dataplane.refusal = InvalidRequest("no such input")
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a"))
        failed = await stream.recv_message()
        dataplane.refusal = None
        await stream.send_message(client.request("many", id="b"))
        (await dataplane.source("b")).respond(1, final=True)
        assert shown(await stream.recv_message()) == ("b", [[1]], True)
        await stream.end()
    assert (failed.error_message, failed.infer_response.id) == ("no such input", "a")
    assert not failed.infer_response.model_name


async def test_a_model_that_is_not_there_is_answered_in_its_turn(client, dataplane):
    """Whether it is decoupled is not known."""

    def is_decoupled(name, version):
        raise NotFound("no model")

    dataplane.is_decoupled = is_decoupled
    async with client.stream() as stream:
        await stream.send_message(client.request("missing", id="a"), end=True)
        failed = await stream.recv_message()
    assert failed.error_message == "Request for unknown model: 'missing' is not found"


async def test_an_unforeseen_error_is_logged_and_not_told(client, dataplane, caplog):
    """The stream goes on."""
    dataplane.refusal = ZeroDivisionError("a secret")
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a"), end=True)
        failed = await stream.recv_message()
        assert await stream.recv_message() is None
    assert failed.error_message == "internal error"
    assert "a secret" in caplog.text


async def test_a_response_that_cannot_be_sent_is_an_error_and_the_end(client, dataplane):
    """Its source is closed."""
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a"), end=True)
        source = await dataplane.source("a")
        source.respond(1, size=1, count=1 << 64)
        failed = await stream.recv_message()
        assert await stream.recv_message() is None
    assert "does not fit 64 bits" in failed.error_message
    assert source.closed


async def test_errors_end_the_stream_when_asked_to(client, dataplane):
    """With the error's status; whatever else runs on it is taken back."""

    async def talk():
        async with client.stream(metadata=REAL_STATUS) as stream:
            for id in ("a", "b"):
                await stream.send_message(client.request("many", id=id))
            await stream.send_message(client.request("held"))
            a, b = await dataplane.source("a"), await dataplane.source("b")
            await dataplane.until(lambda: dataplane.running == 1)
            b.respond(1)
            assert shown(await stream.recv_message()) == ("b", [[1]], False)
            a.put(InvalidRequest("no"), final=False)
            await stream.recv_message()

    with pytest.raises(GRPCError) as caught:
        await talk()
    assert (caught.value.status, caught.value.message) == (Status.INVALID_ARGUMENT, "no")
    a, b = dataplane.sources["a"], dataplane.sources["b"]
    await dataplane.until(lambda: a.closed and b.closed and dataplane.running == 0)


async def test_a_request_that_is_refused_ends_the_stream_when_asked_to(client, dataplane):
    """As an error of the model does."""
    dataplane.refusal = NotFound("no")

    async def talk():
        async with client.stream(metadata=REAL_STATUS) as stream:
            await stream.send_message(client.request("many"))
            await stream.recv_message()

    with pytest.raises(GRPCError) as caught:
        await talk()
    assert caught.value.status is Status.NOT_FOUND


async def test_cancelling_the_stream_closes_every_source(raw, client, dataplane, caplog):
    """None of them is noted as a failure."""
    stream_id = raw.open(PATH)
    raw.h2.send_data(
        stream_id, b"".join(frame(client.request("many", id=str(id))) for id in range(3))
    )
    await raw.send()
    sources = [await dataplane.source(str(id)) for id in range(3)]
    raw.h2.reset_stream(stream_id)
    await raw.send()
    await dataplane.until(lambda: all(source.closed for source in sources))
    assert caplog.text == ""


class Endless:
    """Replies that never end."""

    def __init__(self):
        self.closed = asyncio.Event()

    async def receive(self):
        """Return the next one after a turn of the loop."""
        await asyncio.sleep(0)
        return Reply(InferResponse("many", "1", ()), final=False)

    def close(self):
        """Note it."""
        self.closed.set()


async def test_a_client_that_leaves_while_it_is_written_to_is_no_failure(
    raw, client, dataplane, caplog
):
    """Nothing is logged of it."""
    source = Endless()
    dataplane.stream = lambda request: source
    stream_id = raw.open(PATH)
    raw.h2.send_data(stream_id, frame(client.request("many")))
    await raw.send()
    await raw.until_stalled(stream_id)
    raw.h2.reset_stream(stream_id)
    await raw.send()
    await source.closed.wait()
    await client.infer("echo")
    assert caplog.text == ""


@pytest.mark.parametrize("hang_up", [False, True])
async def test_a_slow_client_is_felt_by_the_model(raw, client, dataplane, caplog, hang_up):
    """Nothing is taken ahead of what can be written; a cancel ends the wait."""
    stream_id = raw.open(PATH)
    raw.h2.send_data(stream_id, b"".join(frame(client.request("many", id=id)) for id in "ab"))
    await raw.send()
    sources = [await dataplane.source(id) for id in "ab"]
    for source in sources:
        for value in range(100):
            source.respond(value, size=100_000)
    await raw.until_stalled(stream_id)
    # A round trip: by then the server has written all it may.
    await client.infer("echo")
    taken = [source.taken for source in sources]
    await client.infer("echo")
    assert [source.taken for source in sources] == taken
    assert sum(taken) < 10
    if hang_up:
        raw.close()
    else:
        raw.h2.reset_stream(stream_id)
        await raw.send()
    await dataplane.until(lambda: all(source.closed for source in sources))
    await client.infer("echo")
    gc.collect()
    assert caplog.text == ""


async def test_half_closing_waits_for_the_responses(client, dataplane):
    """The stream ends when the last request has had its final one."""
    async with client.stream() as stream:
        await stream.send_message(client.request("many", id="a"))
        await stream.send_message(client.request("many", id="b"), end=True)
        a, b = await dataplane.source("a"), await dataplane.source("b")
        a.put()
        await dataplane.until(lambda: a.closed)
        b.respond(1)
        assert shown(await stream.recv_message()) == ("b", [[1]], False)
        b.put()
        assert await stream.recv_message() is None


async def test_a_request_counts_as_in_flight_until_its_last_response(
    client, dataplane, monkeypatch
):
    """Reading goes on when it has ended."""
    monkeypatch.setattr(stream_module, "MAX_IN_FLIGHT", 1)
    async with client.stream() as stream:
        for id in "ab":
            await stream.send_message(client.request("many", id=id))
        a = await dataplane.source("a")
        a.respond(1)
        assert shown(await stream.recv_message()) == ("a", [[1]], False)
        await client.infer("echo")
        assert list(dataplane.sources) == ["a"]
        a.put()
        (await dataplane.source("b")).respond(2, final=True)
        assert shown(await stream.recv_message()) == ("b", [[2]], True)
        await stream.end()


async def test_a_stopping_server_finishes_what_streams(server, raw, client, dataplane):
    """And reads no further request."""
    stream_id = raw.open(PATH)
    raw.h2.send_data(stream_id, frame(client.request("many", id="a")))
    await raw.send()
    source = await dataplane.source("a")
    stopping = asyncio.ensure_future(server.stop(10))
    source.respond(1)
    await raw.until_stalled(stream_id)
    assert not stopping.done()
    source.respond(2, final=True)
    trailers = await raw.outcome(stream_id)
    await stopping
    assert trailers["grpc-status"] == str(Status.UNAVAILABLE.value)
    assert source.taken == 2
    assert source.closed


async def test_a_unary_call_is_refused(client):
    """The text is Triton's."""
    with pytest.raises(GRPCError) as caught:
        await client.infer("many")
    assert caught.value.status is Status.UNIMPLEMENTED
    assert caught.value.message == (
        "ModelInfer RPC doesn't support models with decoupled transaction policy"
    )

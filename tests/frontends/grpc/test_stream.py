"""ModelStreamInfer: many requests on one stream."""

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from inferd.frontends.grpc import stream as stream_module

REAL_STATUS = {"triton_grpc_error": "true"}


async def exchange(client, *requests, metadata=None):
    """Send requests, half-close, and return the answers."""
    async with client.stream(metadata=metadata) as stream:
        await stream.send_request()
        for request in requests:
            await stream.send_message(request)
        await stream.end()
        return [reply async for reply in stream]


async def test_each_request_is_answered_in_order(client):
    """Answers carry their request's id and data and come in the order of the requests."""
    requests = [client.request("echo", id=str(n), data=n.to_bytes(4, "little")) for n in range(20)]
    replies = [reply.infer_response for reply in await exchange(client, *requests)]
    assert [reply.id for reply in replies] == [str(n) for n in range(20)]
    assert [reply.raw_output_contents[0][0] for reply in replies] == list(range(20))


@pytest.mark.parametrize("seconds", [None, 60])
async def test_the_deadline_of_the_stream_is_that_of_its_requests(client, dataplane, seconds):
    """Each request is told; 0 when there is none."""
    async with client.stream(timeout=seconds) as stream:
        await stream.send_message(client.request("echo"))
        await stream.send_message(client.request("echo"))
        await stream.end()
        assert len([reply async for reply in stream]) == 2
    first, second = (request.deadline_ns for request in dataplane.requests)
    assert first == second
    assert bool(first) is (seconds is not None)


async def test_every_answer_is_marked_final(client):
    """Each answer has the parameter triton_final_response, true."""
    [reply] = await exchange(client, client.request("echo"))
    assert reply.error_message == ""
    assert reply.infer_response.parameters["triton_final_response"].bool_param is True


async def test_requests_run_together_and_answers_wait_their_turn(client, dataplane):
    """A slow request does not keep the next from executing, only from being answered first."""
    async with client.stream() as stream:
        await stream.send_message(client.request("held", id="slow"))
        await stream.send_message(client.request("echo", id="fast"))
        await dataplane.until(lambda: len(dataplane.requests) == 2 and dataplane.running == 1)
        dataplane.release()
        assert (await stream.recv_message()).infer_response.id == "slow"
        assert (await stream.recv_message()).infer_response.id == "fast"
        await stream.end()
    assert dataplane.most_running == 2


async def test_an_answer_does_not_wait_for_the_end_of_the_stream(client):
    """A client that sends one request at a time gets each answer before sending the next."""
    async with client.stream() as stream:
        for n in range(3):
            await stream.send_message(client.request("echo", id=str(n)))
            assert (await stream.recv_message()).infer_response.id == str(n)
        await stream.end()
        assert await stream.recv_message() is None


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("missing", "Request for unknown model: 'missing' is not found"),
        ("busy", "Exceeds maximum queue size"),
        ("cancelling", "Request cancelled"),
    ],
)
async def test_an_error_leaves_the_stream_open(client, model, text):
    """A failed request is answered with its text and id, and the next one is served."""
    failed, served = await exchange(
        client, client.request(model, id="bad"), client.request("echo", id="good")
    )
    assert (failed.error_message, failed.infer_response.id) == (text, "bad")
    assert not failed.infer_response.model_name
    assert not failed.infer_response.parameters
    assert (served.error_message, served.infer_response.id) == ("", "good")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("failing", "the backend says no"),
        ("broken", "internal error"),
        ("odd", "response parameter 'size' does not fit 64 bits: 18446744073709551616"),
    ],
)
async def test_a_failed_execution_also_names_the_model(client, model, text):
    """An error of the execution names the model and version asked for and is marked final."""
    failed, served = await exchange(
        client, client.request(model, id="bad", model_version="3"), client.request("echo")
    )
    answer = failed.infer_response
    assert (failed.error_message, answer.id) == (text, "bad")
    assert (answer.model_name, answer.model_version) == (model, "3")
    assert answer.parameters["triton_final_response"].bool_param is True
    assert served.error_message == ""


async def test_a_broken_rule_leaves_the_stream_open(client, dataplane):
    """A request that breaks the protocol's rules is answered without reaching the model."""
    bad = client.messages.ModelInferRequest(model_name="echo", id="bad")
    bad.inputs.add(name="IN", datatype="INT32", shape=[1])
    failed, served = await exchange(client, bad, client.request("echo"))
    assert failed.error_message == (
        "unable to find data for input tensor 'IN' for model 'echo' in request."
    )
    assert (failed.infer_response.id, served.error_message) == ("bad", "")
    assert len(dataplane.requests) == 1


async def test_an_unforeseen_error_is_logged(client, caplog):
    """What the client is not told the operator finds in the log."""
    await exchange(client, client.request("broken"))
    assert "ZeroDivisionError: secret detail" in caplog.text


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        ("missing", Status.NOT_FOUND, "Request for unknown model: 'missing' is not found"),
        ("failing", Status.INTERNAL, "the backend says no"),
        ("broken", Status.INTERNAL, "internal error"),
        ("odd", Status.INTERNAL, "response parameter 'size' does not fit 64 bits: " + str(1 << 64)),
    ],
)
async def test_errors_end_the_stream_when_asked_to(client, model, status, text):
    """With the metadata triton_grpc_error an error is the status of the stream."""
    with pytest.raises(GRPCError) as caught:
        await exchange(client, client.request(model), metadata=REAL_STATUS)
    assert (caught.value.status, caught.value.message) == (status, text)


async def test_an_error_that_ends_the_stream_cancels_the_rest(client, dataplane):
    """The stream does not wait for the requests before the failed one; they are cancelled."""
    requests = [client.request(model) for model in ("held", "missing", "held")]
    with pytest.raises(GRPCError) as caught:
        await exchange(client, *requests, metadata=REAL_STATUS)
    assert caught.value.status is Status.NOT_FOUND
    await dataplane.until(lambda: dataplane.running == 0)
    assert dataplane.cancelled == len(dataplane.requests) - 1


@pytest.mark.parametrize("value", ["false", "1", "True"])
async def test_only_true_asks_for_the_real_status(client, value):
    """Any other value of triton_grpc_error keeps the stream open."""
    metadata = {"triton_grpc_error": value}
    failed, served = await exchange(
        client, client.request("missing"), client.request("echo"), metadata=metadata
    )
    assert (failed.error_message[:7], served.error_message) == ("Request", "")


async def test_half_closing_finishes_what_is_in_flight(client, dataplane):
    """A client that has nothing more to send still gets every answer, and then OK."""
    async with client.stream() as stream:
        await stream.send_message(client.request("held", id="a"), end=True)
        await dataplane.until(lambda: dataplane.running == 1)
        dataplane.release()
        assert (await stream.recv_message()).infer_response.id == "a"
        assert await stream.recv_message() is None


async def test_a_stream_may_be_empty(client):
    """A stream without requests ends well."""
    assert await exchange(client) == []


async def test_cancelling_the_stream_cancels_its_requests(raw, client, dataplane):
    """Everything in flight on a stream is taken back with it."""
    stream_id = raw.open("/inference.GRPCInferenceService/ModelStreamInfer")
    body = client.request("held").SerializeToString()
    raw.h2.send_data(stream_id, 2 * (b"\0" + len(body).to_bytes(4, "big") + body))
    await raw.send()
    await dataplane.until(lambda: dataplane.running == 2)
    raw.h2.reset_stream(stream_id)
    await raw.send()
    await dataplane.until(lambda: dataplane.running == 0)
    assert dataplane.cancelled == 2


async def test_reading_stops_when_enough_is_in_flight(client, dataplane, monkeypatch):
    """A stream may have only so many requests in flight; the rest is read when answers leave."""
    monkeypatch.setattr(stream_module, "MAX_IN_FLIGHT", 2)
    async with client.stream() as stream:
        for n in range(5):
            await stream.send_message(client.request("held", id=str(n)))
        await stream.end()
        await dataplane.until(lambda: dataplane.running == 2)
        await client.infer("echo")
        assert len(dataplane.requests) == 3
        dataplane.release()
        assert [reply.infer_response.id async for reply in stream] == list("01234")
    assert dataplane.most_running == 3


async def test_a_message_that_is_none_ends_the_stream(raw, client, dataplane):
    """After bytes that are no request what came before is answered, and the status says why."""
    stream_id = raw.open("/inference.GRPCInferenceService/ModelStreamInfer")
    good = client.request("echo").SerializeToString()
    for body in (good, b"\x0a\x05"):
        raw.h2.send_data(stream_id, b"\0" + len(body).to_bytes(4, "big") + body)
    await raw.send()
    trailers = await raw.outcome(stream_id)
    assert trailers["grpc-status"] == str(Status.INVALID_ARGUMENT.value)
    assert trailers["grpc-message"] == "failed to parse ModelInferRequest: truncated field"
    [size] = {int.from_bytes(raw.body(stream_id)[1:5], "big")}
    assert len(raw.body(stream_id)) == size + 5

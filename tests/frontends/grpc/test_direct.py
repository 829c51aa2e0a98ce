"""Inferences without a task: queued at once, answered by a callback."""

import asyncio
import gc
import weakref

import pytest
from grpclib.const import Status
from h2.errors import ErrorCodes

from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferResponse
from tests.frontends.grpc.native_only import start, transport  # noqa: F401 - a fixture
from tests.frontends.grpc.raw_client import status_of

SHUTTING_DOWN = "GRPC server is shutting down and has stopped accepting new requests."


async def queued(dataplane, count=1):
    """Wait for requests to be queued and return their futures."""
    await dataplane.until(lambda: len(dataplane.queue) == count)
    return [pending.future for _, pending in dataplane.queue]


async def test_the_answer_of_a_queued_request_is_sent(raw, client, dataplane):
    """Several in a turn are answered, each on its stream."""
    streams = [await start(raw, client) for _ in range(3)]
    for number, future in enumerate(await queued(dataplane, 3)):
        future.set_result(InferResponse("queued", str(number), ()))
    for number, stream_id in enumerate(streams):
        assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
        reply = client.messages.ModelInferResponse.FromString(raw.body(stream_id)[5:])
        assert reply.model_version == str(number)
    assert dataplane.requests[0].received_ns > 0
    assert dataplane.requests[0].deadline_ns == 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InvalidRequest("no"), (Status.INVALID_ARGUMENT, "no")),
        (ZeroDivisionError("secret"), (Status.INTERNAL, "internal error")),
        (asyncio.CancelledError(), (Status.CANCELLED, "Request cancelled")),
    ],
)
async def test_what_goes_wrong_with_a_queued_request_is_told(
    raw, client, dataplane, error, outcome
):
    """As with any other call."""
    stream_id = await start(raw, client)
    [future] = await queued(dataplane)
    future.set_exception(error)
    assert status_of(await raw.outcome(stream_id)) == outcome


async def test_an_answer_that_cannot_be_encoded_is_an_error(raw, client, dataplane):
    """Nothing of it is sent."""
    stream_id = await start(raw, client)
    [future] = await queued(dataplane)
    future.set_result(InferResponse("queued", "1", (), parameters={"size": 1 << 64}))
    assert status_of(await raw.outcome(stream_id))[0] is Status.INTERNAL
    assert raw.body(stream_id) == b""


async def test_an_answered_request_is_freed_without_the_collector(raw, client, dataplane):
    """It and its tensors are gone with the answer, however seldom garbage is collected."""
    stream_id = await start(raw, client)
    [future] = await queued(dataplane)
    pending = weakref.ref(dataplane.queue[0][1])
    dataplane.queue.clear()
    gc.disable()
    try:
        future.set_result(InferResponse("queued", "1", ()))
        del future
        await raw.outcome(stream_id)
        assert pending() is None
    finally:
        gc.enable()


async def test_the_only_request_is_executed_in_the_turn_it_comes_in(raw, client, dataplane):
    """With others in flight the queue waits for what else comes in the turn."""
    await start(raw, client)
    await queued(dataplane)
    assert dataplane.turns_ended == 1
    await start(raw, client)
    await queued(dataplane, 2)
    assert dataplane.turns_ended == 1


async def test_with_two_clients_a_request_waits_for_what_else_comes(
    raw, server, connect_raw, client, dataplane
):
    """The other's request may come in the same turn, for the same batch."""
    other = await connect_raw(server.port)
    await start(other, client)
    await queued(dataplane)
    assert dataplane.turns_ended == 0


async def test_what_cannot_be_started_is_told(raw, client, dataplane, monkeypatch):
    """An error at the start has its status."""

    def refuse(request, future):
        raise InvalidRequest("not like this")

    monkeypatch.setattr(dataplane, "start", refuse)
    outcome = status_of(await raw.outcome(await start(raw, client)))
    assert outcome == (Status.INVALID_ARGUMENT, "not like this")


async def test_a_reset_takes_a_queued_request_back(raw, client, dataplane):
    """Once, and the connection lives on."""
    stream_id = await start(raw, client)
    await queued(dataplane)
    raw.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
    await raw.send()
    await dataplane.until(lambda: not dataplane.queue)
    assert dataplane.cancelled == 1
    stream_id = await start(raw, client)
    [future] = await queued(dataplane)
    future.set_result(InferResponse("queued", "1", ()))
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")


async def test_hanging_up_takes_queued_requests_back(raw, client, dataplane):
    """All of the connection's."""
    await start(raw, client)
    await start(raw, client)
    await queued(dataplane, 2)
    raw.close()
    await dataplane.until(lambda: not dataplane.queue)
    assert dataplane.cancelled == 2


async def test_a_late_request_is_not_queued(server, raw, client, dataplane):
    """While the server stops, what would need no task is refused like everything else."""
    first = await start(raw, client)
    [future] = await queued(dataplane)
    stopping = asyncio.create_task(server.stop(60))
    await asyncio.sleep(0)
    late = await start(raw, client)
    assert status_of(await raw.outcome(late)) == (Status.UNAVAILABLE, SHUTTING_DOWN)
    future.set_result(InferResponse("queued", "1", ()))
    assert status_of(await raw.outcome(first)) == (Status.OK, "")
    await stopping


async def test_a_queued_request_outlives_the_grace_period(server, raw, client, dataplane):
    """It is taken back and answered UNAVAILABLE."""
    stream_id = await start(raw, client)
    await queued(dataplane)
    await server.stop(0)
    assert status_of(await raw.outcome(stream_id)) == (Status.UNAVAILABLE, SHUTTING_DOWN)
    assert dataplane.cancelled == 1


@pytest.mark.parametrize(
    ("headers", "end"), [({"grpc-timeout": "1H"}, True), ({"x-bin": "AAA="}, True), ({}, False)]
)
async def test_other_calls_are_awaited(raw, client, dataplane, headers, end):
    """A deadline, binary metadata or an open request need more than a queue."""
    stream_id = await start(raw, client, end=end, **headers)
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
    assert dataplane.queue == []

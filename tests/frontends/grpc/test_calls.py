"""However a call goes, it ends with a status or with the client's own reset."""

import pytest
from grpclib.const import Status
from h2.errors import ErrorCodes

from tests.frontends.grpc.raw_client import framed, status_of


async def unary(raw, stream_id, body):
    """Send a whole unary request and return its outcome."""
    raw.h2.send_data(stream_id, framed(body), end_stream=True)
    await raw.send()
    return await raw.outcome(stream_id)


async def test_a_cancelled_call_takes_its_request_back(raw, client, dataplane):
    """When the client resets the call, the data plane's request is cancelled, once."""
    stream_id = raw.open()
    raw.h2.send_data(stream_id, framed(client.request("held").SerializeToString()), end_stream=True)
    await raw.send()
    await dataplane.until(lambda: dataplane.running == 1)
    raw.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
    await raw.send()
    await dataplane.until(lambda: dataplane.running == 0)
    assert dataplane.cancelled == 1
    outcome = await unary(raw, raw.open(), client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.OK, "")


async def test_hanging_up_takes_every_request_back(raw, client, dataplane):
    """When the connection is lost, what was in flight on it is cancelled."""
    body = client.request("held").SerializeToString()
    for _ in range(3):
        raw.h2.send_data(raw.open(), framed(body), end_stream=True)
    await raw.send()
    await dataplane.until(lambda: dataplane.running == 3)
    raw.close()
    await dataplane.until(lambda: dataplane.running == 0)
    assert dataplane.cancelled == 3


@pytest.mark.parametrize("limit", ["1m", "0S", "100u", "1n"])
async def test_the_deadline_takes_the_request_back(raw, client, dataplane, limit):
    """A call that outlives its grpc-timeout is DEADLINE_EXCEEDED and its request cancelled."""
    stream_id = raw.open(extra=[("grpc-timeout", limit)])
    outcome = await unary(raw, stream_id, client.request("held").SerializeToString())
    assert status_of(outcome) == (Status.DEADLINE_EXCEEDED, "Deadline Exceeded")
    assert dataplane.running == 0
    assert dataplane.cancelled == len(dataplane.requests)


@pytest.mark.parametrize("limit", ["1M", "99999999H"])
async def test_a_call_within_its_deadline_is_answered(raw, client, limit):
    """A deadline that is not reached changes nothing, however far it is."""
    stream_id = raw.open(extra=[("grpc-timeout", limit)])
    outcome = await unary(raw, stream_id, client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.OK, "")


async def test_a_timeout_of_the_model_is_not_the_clients(raw, client, dataplane, monkeypatch):
    """A TimeoutError from below is an internal error, deadline or not."""

    async def infer(request):
        raise TimeoutError

    monkeypatch.setattr(dataplane, "infer", infer)
    stream_id = raw.open(extra=[("grpc-timeout", "1H")])
    outcome = await unary(raw, stream_id, client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.INTERNAL, "internal error")


@pytest.mark.parametrize("limit", ["", "5", "m", "1x", "-1S", "1.5S", "123456789S"])
async def test_a_bad_timeout_is_answered(raw, client, limit):
    """A grpc-timeout that cannot be read is the client's fault."""
    stream_id = raw.open(extra=[("grpc-timeout", limit)])
    outcome = await unary(raw, stream_id, client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.INVALID_ARGUMENT, f"invalid grpc-timeout '{limit}'")


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (("x-bin", "a"), "metadata 'x-bin' is not base64"),
        (("x-bin", "größe"), "metadata 'x-bin' is not ASCII"),
        (("x", "größe"), "metadata 'x' is not ASCII"),
        (("größe", "x"), "metadata 'gr\\xc3\\xb6\\xc3\\x9fe' is not ASCII"),
    ],
)
async def test_bad_metadata_is_answered(raw, client, header, text):
    """Metadata that cannot be read is named in the answer, and the connection lives on."""
    outcome = await unary(raw, raw.open(extra=[header]), client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.INVALID_ARGUMENT, text)
    outcome = await unary(raw, raw.open(), client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.OK, "")


async def test_good_metadata_is_accepted(raw, client):
    """Binary metadata with and without padding and a foreign user agent are no obstacle."""
    extra = [("a-bin", "AA=="), ("b-bin", "AAA"), ("user-agent", "größe"), ("x", "y")]
    outcome = await unary(raw, raw.open(extra=extra), client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.OK, "")


@pytest.mark.parametrize("missing", ["_method", "_path"])
async def test_a_request_without_a_method_is_reset(raw, client, missing):
    """A header block that is no request is reset, and the connection lives on."""
    bad = raw.open(**{missing: None})
    await raw.send()
    assert await raw.outcome(bad) is ErrorCodes.PROTOCOL_ERROR
    outcome = await unary(raw, raw.open(), client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.OK, "")


@pytest.mark.parametrize(
    ("headers", "http_status", "text"),
    [
        ({"_method": "GET"}, "405", "gRPC requests are POST"),
        (
            {"content-type": "application/json"},
            "415",
            "unacceptable content-type 'application/json'",
        ),
        ({"content-type": "application/grpc+json"}, "415", "unacceptable content-type"),
        ({"content-type": None}, "415", "unacceptable content-type ''"),
    ],
)
async def test_what_is_not_grpc_is_told_so_in_http(raw, headers, http_status, text):
    """A browser or a JSON client gets an HTTP status and a reason."""
    stream_id = raw.open(**headers)
    await raw.send()
    answer = await raw.outcome(stream_id)
    assert answer[":status"] == http_status
    assert status_of(answer)[1].startswith(text)


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
async def test_both_content_types_are_grpc(raw, client, content_type):
    """The subtype proto may be left out."""
    stream_id = raw.open(**{"content-type": content_type})
    outcome = await unary(raw, stream_id, client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.OK, "")


@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        ("ModelInfer", b"\x0a\x05", "failed to parse ModelInferRequest: truncated field"),
        ("ModelInfer", b"\x0a\x01\xff", "failed to parse ModelInferRequest: string that is not"),
        ("ModelReady", b"\x0a\x05", "failed to parse ModelReadyRequest"),
        ("ModelReady", b"\x0a\x01\xff", "failed to parse ModelReadyRequest"),
        ("ServerLive", b"\x0f", "failed to parse ServerLiveRequest"),
    ],
)
async def test_bad_protobuf_is_an_invalid_argument(raw, name, body, text):
    """Bytes that are not the message are refused with the message's name."""
    outcome = await unary(raw, raw.open(f"/inference.GRPCInferenceService/{name}"), body)
    status, message = status_of(outcome)
    assert status is Status.INVALID_ARGUMENT
    assert message.startswith(text)


async def test_a_reset_before_the_answer_disturbs_nobody(raw, client, dataplane):
    """A call reset in the turn it arrived in leaves no trace."""
    stream_id = raw.open()
    raw.h2.send_data(stream_id, framed(client.request("held").SerializeToString()), end_stream=True)
    raw.h2.reset_stream(stream_id)
    outcome = await unary(raw, raw.open(), client.request("echo").SerializeToString())
    assert status_of(outcome) == (Status.OK, "")
    assert dataplane.running == 0

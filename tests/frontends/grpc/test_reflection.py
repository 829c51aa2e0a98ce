"""Server reflection over both transports."""

import asyncio

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpclib.client import StreamStreamMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

SERVICES = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
]


@pytest.fixture(params=["v1", "v1alpha"])
def open_stream(request, client):
    """Open a stream of questions under either name."""
    messages = client.messages
    path = f"/grpc.reflection.{request.param}.ServerReflection/ServerReflectionInfo"
    return StreamStreamMethod(
        client.channel, path, messages.ServerReflectionRequest, messages.ServerReflectionResponse
    ).open


@pytest.fixture
def ask(open_stream, client):
    """Ask one question and return the answer."""

    async def ask(**question):
        request = client.messages.ServerReflectionRequest(host="here", **question)
        async with open_stream() as stream:
            await stream.send_message(request, end=True)
            answer = await stream.recv_message()
            assert await stream.recv_message() is None
        assert (answer.valid_host, answer.original_request) == ("here", request)
        return answer

    return ask


async def test_the_services_are_listed(ask):
    """All that this server has."""
    answer = await ask(list_services="*")
    assert [one.name for one in answer.list_services_response.service] == SERVICES


@pytest.mark.parametrize(
    "question",
    [
        {"file_by_filename": "grpc_service.proto"},
        {"file_containing_symbol": "inference.GRPCInferenceService.ModelInfer"},
    ],
)
async def test_a_file_is_found_by_its_name_or_a_symbol(ask, question):
    """With what it depends on."""
    answer = await ask(**question)
    files = [
        FileDescriptorProto.FromString(one)
        for one in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert [file.name for file in files] == ["grpc_service.proto", "model_config.proto"]


async def test_messages_have_no_extensions(ask):
    """The list of a message's is empty."""
    answer = await ask(all_extension_numbers_of_type="inference.ModelConfig")
    response = answer.all_extension_numbers_response
    assert (response.base_type_name, list(response.extension_number)) == (
        "inference.ModelConfig",
        [],
    )


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ({"file_by_filename": "no.proto"}, "not found: no.proto"),
        ({"file_containing_symbol": "no.Such"}, "not found: no.Such"),
        ({"all_extension_numbers_of_type": "no.Such"}, "not found: no.Such"),
        (
            {"file_containing_extension": {"containing_type": "x.Y", "extension_number": 3}},
            "not found: x.Y: 3",
        ),
    ],
)
async def test_what_is_not_there_is_not_found(ask, question, text):
    """The stream goes on: the error is an answer."""
    error = (await ask(**question)).error_response
    assert (error.error_code, error.error_message) == (Status.NOT_FOUND.value, text)


async def test_a_question_for_nothing_is_an_error(ask):
    """As well."""
    error = (await ask()).error_response
    assert error.error_code == Status.INVALID_ARGUMENT.value


async def test_questions_of_one_stream_are_answered_in_turn(open_stream, client):
    """As long as the client likes."""
    request = client.messages.ServerReflectionRequest
    async with open_stream() as stream:
        for name in ("health.proto", "no.proto", "reflection.proto"):
            await stream.send_message(request(file_by_filename=name))
            answer = await stream.recv_message()
            assert answer.HasField("error_response") is (name == "no.proto")
        await stream.end()


async def test_an_open_stream_does_not_hold_up_the_end(server, open_stream, client):
    """It is told that the server shuts down."""

    async def be_interrupted():
        async with open_stream() as stream:
            await stream.send_message(client.messages.ServerReflectionRequest(list_services="*"))
            await stream.recv_message()
            async with asyncio.timeout(30):
                await server.stop(60)
            await stream.recv_message()

    with pytest.raises(GRPCError) as caught:
        await be_interrupted()
    assert caught.value.status is Status.UNAVAILABLE


async def test_reflection_may_be_off(start_server, connect):
    """Then nobody is told anything."""
    client = connect((await start_server(reflection=False)).port)
    messages = client.messages
    method = StreamStreamMethod(
        client.channel,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        messages.ServerReflectionRequest,
        messages.ServerReflectionResponse,
    )
    with pytest.raises(GRPCError) as caught:
        await method([messages.ServerReflectionRequest(list_services="*")])
    assert caught.value.status is Status.UNIMPLEMENTED

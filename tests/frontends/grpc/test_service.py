"""What a client gets from each RPC."""

import time

import pytest
from grpclib.client import UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

NOT_BUILT = [
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
    "TraceSetting",
    "LogSettings",
]


async def test_answers_an_inference(client):
    """ModelInfer returns the outputs raw, with the model, its version and the request's id."""
    reply = await client.infer("echo", id="a", data=b"12345678")
    assert (reply.model_name, reply.model_version, reply.id) == ("echo", "1", "a")
    [output] = reply.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("IN", "INT32", [2])
    assert not output.HasField("contents")
    assert list(reply.raw_output_contents) == [b"12345678"]


async def test_a_request_is_stamped_on_arrival(client, dataplane):
    """The data plane is told when the request was complete."""
    await client.infer("echo")
    assert dataplane.requests[0].received_ns > 0


@pytest.mark.parametrize("deadline", [None, 60])
async def test_a_deadline_reaches_the_data_plane(client, dataplane, deadline):
    """The client's timeout, counted from the start of the call; 0 when there is none."""
    before_ns = time.monotonic_ns()
    await client.infer("echo", deadline=deadline)
    found_ns = dataplane.requests[0].deadline_ns
    if deadline is None:
        assert found_ns == 0
    else:
        # The client sends what is left of its time.
        assert before_ns < found_ns <= time.monotonic_ns() + deadline * 10**9


async def test_the_version_asked_for_is_passed_on(client, dataplane):
    """A request for one version reaches the data plane as such."""
    await client.infer("echo", model_version="3")
    assert dataplane.requests[0].model_version == "3"


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        ("missing", Status.NOT_FOUND, "Request for unknown model: 'missing' is not found"),
        ("busy", Status.UNAVAILABLE, "Exceeds maximum queue size"),
        ("failing", Status.INTERNAL, "the backend says no"),
        ("broken", Status.INTERNAL, "internal error"),
        ("cancelling", Status.CANCELLED, "Request cancelled"),
        ("odd", Status.INTERNAL, "response parameter 'size' does not fit 64 bits: " + str(1 << 64)),
    ],
)
async def test_a_failed_inference_has_the_status_of_its_error(client, model, status, text):
    """The status says what kind of error it was and the message is the error's text alone."""
    with pytest.raises(GRPCError) as caught:
        await client.infer(model)
    assert (caught.value.status, caught.value.message) == (status, text)


async def test_an_unforeseen_error_is_logged_with_its_traceback(client, caplog):
    """What the client is not told the operator finds in the log."""
    with pytest.raises(GRPCError):
        await client.infer("broken")
    assert "ZeroDivisionError: secret detail" in caplog.text


async def test_a_broken_rule_is_the_clients_fault(client):
    """A request that breaks the protocol's rules is INVALID_ARGUMENT with the rule's text."""
    with pytest.raises(GRPCError) as caught:
        await client.infer("echo", parameters={"triton_x": {"bool_param": True}})
    assert caught.value.status is Status.INVALID_ARGUMENT
    assert caught.value.message.startswith("parameter keys starting with 'triton_' are reserved")


async def test_shared_memory_is_not_implemented(client):
    """A tensor in shared memory is UNIMPLEMENTED, as with Triton's default options."""
    region = {
        "shared_memory_region": {"string_param": "r"},
        "shared_memory_byte_size": {"int64_param": 4},
    }
    with pytest.raises(GRPCError) as caught:
        await client.infer("echo", outputs=[{"name": "OUT", "parameters": region}])
    assert caught.value.status is Status.UNIMPLEMENTED


async def test_twenty_megabytes_come_back(client, tensor_bytes):
    """A large tensor passes flow control in both directions unharmed."""
    reply = await client.infer("echo", data=tensor_bytes)
    assert reply.raw_output_contents[0] == tensor_bytes


async def test_health_and_metadata(client, dataplane):
    """Live, ready, model ready, metadata and config come from the data plane."""
    messages = client.messages
    assert (await client.call("ServerLive")).live is True
    assert (await client.call("ServerReady")).ready is True
    dataplane.ready = False
    assert (await client.call("ServerReady")).ready is False
    ready = await client.call("ModelReady", messages.ModelReadyRequest(name="echo"))
    assert ready.ready is True
    ready = await client.call("ModelReady", messages.ModelReadyRequest(name="other"))
    assert ready.ready is False
    server = await client.call("ServerMetadata")
    assert (server.name, server.version, list(server.extensions)) == (
        "inferd",
        "1.2.3",
        ["statistics"],
    )
    model = await client.call("ModelMetadata", messages.ModelMetadataRequest(name="echo"))
    assert (model.name, list(model.versions), list(model.inputs[0].shape)) == (
        "echo",
        ["1"],
        [-1, 16],
    )
    config = await client.call("ModelConfig", messages.ModelConfigRequest(name="echo"))
    assert (config.config.name, config.config.max_batch_size) == ("echo", 8)


async def test_a_bad_version_is_an_invalid_argument(client):
    """ModelReady refuses a version that is no number."""
    request = client.messages.ModelReadyRequest(name="echo", version="abc")
    with pytest.raises(GRPCError) as caught:
        await client.call("ModelReady", request)
    assert caught.value.status is Status.INVALID_ARGUMENT
    assert caught.value.message == "invalid model version specified 'abc'"


async def test_statistics(client):
    """Statistics are those of the model and version asked for."""
    request = client.messages.ModelStatisticsRequest(name="echo", version="2")
    [found] = (await client.call("ModelStatistics", request)).model_stats
    assert (found.name, found.version, found.inference_count) == ("echo", "2", 7)


@pytest.mark.parametrize(("ready", "state"), [(True, "READY"), (False, "UNAVAILABLE")])
async def test_the_repository_is_listed(client, ready, state):
    """The index may be limited to what is ready."""
    request = client.messages.RepositoryIndexRequest(ready=ready)
    [model] = (await client.call("RepositoryIndex", request)).models
    assert (model.name, model.state) == ("echo", state)


async def test_models_are_loaded_and_unloaded(client, dataplane):
    """Config and files of a load request, and the flag of an unload request, are passed on."""
    messages = client.messages
    parameters = {
        "config": {"string_param": "{}"},
        "file:1/model.onnx": {"bytes_param": b"\0\xff"},
    }
    await client.call("RepositoryModelLoad", messages.RepositoryModelLoadRequest(model_name="a"))
    request = messages.RepositoryModelLoadRequest(model_name="b", parameters=parameters)
    await client.call("RepositoryModelLoad", request)
    assert dataplane.loads == [("a", None, None), ("b", "{}", {"1/model.onnx": b"\0\xff"})]
    request = messages.RepositoryModelUnloadRequest(
        model_name="a", parameters={"unload_dependents": {"bool_param": True}}
    )
    await client.call("RepositoryModelUnload", request)
    assert dataplane.unloads == [("a", True)]


@pytest.mark.parametrize(
    "name", ["RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"]
)
async def test_repositories_are_not_addressed_by_name(client, name):
    """A repository_name is UNIMPLEMENTED wherever it can be given."""
    request = getattr(client.messages, f"{name}Request")(repository_name="x")
    with pytest.raises(GRPCError) as caught:
        await client.call(name, request)
    assert caught.value.status is Status.UNIMPLEMENTED
    assert caught.value.message == "'repository_name' specification is not supported"


@pytest.mark.parametrize("name", NOT_BUILT)
async def test_missing_rpcs_say_so(client, name):
    """An RPC this server does not have names itself."""
    with pytest.raises(GRPCError) as caught:
        await client.call(name)
    assert caught.value.status is Status.UNIMPLEMENTED
    assert caught.value.message == f"{name} is not implemented by this server"


async def test_unknown_methods_are_unimplemented(client):
    """A path nobody serves is named in the answer."""
    empty = client.messages.ServerLiveRequest
    method = UnaryUnaryMethod(client.channel, "/a.B/C", empty, empty)
    with pytest.raises(GRPCError) as caught:
        await method(empty())
    assert caught.value.status is Status.UNIMPLEMENTED
    assert caught.value.message == "unknown method '/a.B/C'"

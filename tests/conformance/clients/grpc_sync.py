"""The synchronous gRPC client: the flows of its simple examples."""

import queue
import time

import add_sub
import numpy as np
import tritonclient.grpc as grpcclient
from flows import flow, main, raised
from tritonclient.utils import InferenceServerException


def connect(server, **options):
    """Return a client."""
    return grpcclient.InferenceServerClient(server.grpc, **options)


@flow
def add_and_subtract(server):
    """Both outputs are returned, named or not."""
    with connect(server) as client:
        wanted = add_sub.outputs(grpcclient)
        add_sub.check(client.infer("simple", add_sub.inputs(grpcclient), outputs=wanted))
        result = client.infer("simple", add_sub.inputs(grpcclient), headers={"test": "1"})
        add_sub.check(result)
        assert [o.name for o in result.get_response().outputs] == ["OUTPUT0", "OUTPUT1"]


@flow
def only_the_named_output_is_returned(server):
    """A request for one output gets that one alone."""
    with connect(server) as client:
        wanted = [grpcclient.InferRequestedOutput("OUTPUT1")]
        result = client.infer("simple", add_sub.inputs(grpcclient), outputs=wanted)
        assert [o.name for o in result.get_response().outputs] == ["OUTPUT1"]
        assert result.as_numpy("OUTPUT0") is None


@flow
def request_id_and_version_are_returned(server):
    """The id is echoed and the version that answered is named."""
    with connect(server) as client:
        answer = client.infer(
            "simple", add_sub.inputs(grpcclient), model_version="1", request_id="first"
        ).get_response()
        assert (answer.id, answer.model_name, answer.model_version) == ("first", "simple", "1")
        assert len(answer.raw_output_contents) == 2
        assert not answer.outputs[0].HasField("contents")


@flow
def requests_may_be_compressed(server):
    """Gzip and deflate work."""
    with connect(server) as client:
        for way in ("gzip", "deflate", None):
            result = client.infer("simple", add_sub.inputs(grpcclient), compression_algorithm=way)
            add_sub.check(result)


@flow
def statistics_count_the_requests(server):
    """The statistics of one model are a list of one that grows with its requests."""
    with connect(server) as client:
        before = client.get_inference_statistics("simple").model_stats
        client.infer("simple", add_sub.inputs(grpcclient))
        after = client.get_inference_statistics("simple", as_json=True)["model_stats"]
        assert len(before) == len(after) == 1
        grown = int(after[0]["inference_stats"]["success"]["count"])
        assert grown == before[0].inference_stats.success.count + 1


@flow
def callbacks_get_every_answer(server):
    """Asynchronous requests each call back with their own answer."""
    answers = queue.SimpleQueue()
    lefts = {str(n): add_sub.LEFT + n for n in range(40)}
    with connect(server) as client:
        for name, left in lefts.items():
            client.async_infer(
                "simple",
                add_sub.inputs(grpcclient, left),
                lambda result, error: answers.put((result, error)),
                request_id=name,
            )
        for _ in lefts:
            result, error = answers.get(timeout=20)
            assert error is None, error
            add_sub.check(result, lefts[result.get_response().id])


@flow
def int8_wraps_around(server):
    """INT8 tensors are added and subtracted in INT8."""
    full = np.full((1, 16), 100, np.int8)
    with connect(server) as client:
        result = client.infer("simple_int8", add_sub.inputs(grpcclient, full, full, "INT8"))
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), np.full((1, 16), -56))


@flow
def strings_are_added_and_subtracted(server):
    """BYTES tensors of decimal numbers are read and written as text."""
    texts = add_sub.as_text(add_sub.LEFT), add_sub.as_text(add_sub.RIGHT)
    with connect(server) as client:
        given = add_sub.inputs(grpcclient, *texts, "BYTES")
        add_sub.check_text(client.infer("simple_string", given))


@flow
def strings_keep_their_nulls_and_empty_elements(server):
    """NUL characters, empty strings and, but for ONNX, any bytes come back as they were."""
    texts = [b"he\x00llo", b"\x00", b"", "grüße ☕".encode(), b"x" * 300]
    with connect(server) as client:
        for model, last in (("simple_identity", b"end"), ("id_string", b"\xff\xfe")):
            values = np.array([[*texts, last]], object)
            given = grpcclient.InferInput("INPUT0", [1, 6], "BYTES")
            given.set_data_from_numpy(values)
            found = client.infer(model, [given]).as_numpy("OUTPUT0")
            np.testing.assert_array_equal(found, values)


@flow
def health_is_good(server):
    """Liveness and readiness hold; an unknown model is not ready."""
    with connect(server) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("simple")
        assert client.is_model_ready("simple", "1")
        assert not client.is_model_ready("wrong_model_name")
        assert not client.is_model_ready("simple", "2")


@flow
def metadata_and_config_describe_the_model(server):
    """Server metadata, model metadata and config have the reference's content."""
    with connect(server) as client:
        assert client.get_server_metadata().name == "triton"
        model = client.get_model_metadata("simple", as_json=True)
        assert model["inputs"][0] == {
            "name": "INPUT0", "datatype": "INT32", "shape": ["-1", "16"]
        }  # fmt: skip
        assert model["versions"] == ["1"]
        config = client.get_model_config("simple").config
        assert (config.name, config.max_batch_size) == ("simple", 8)
        assert (config.platform, config.backend) == ("onnxruntime_onnx", "onnxruntime")
        assert list(config.input[0].dims) == [16]
        assert len(config.instance_group) == 1


@flow
def an_unknown_model_is_an_error_with_the_references_text(server):
    """Every question about an unknown model says so."""
    with connect(server) as client:
        for ask in (client.get_model_metadata, client.get_model_config):
            error = raised(InferenceServerException, ask, "wrong_model_name")
            assert error.message() == "Request for unknown model: 'wrong_model_name' is not found"
            assert error.status() == "StatusCode.NOT_FOUND"


@flow
def infer_objects_can_be_used_again(server):
    """The same input and output objects serve several requests with changing data."""
    given, wanted = add_sub.inputs(grpcclient), add_sub.outputs(grpcclient)
    with connect(server) as client:
        for step in range(3):
            left = add_sub.LEFT + step
            given[0].set_data_from_numpy(left)
            add_sub.check(client.infer("simple", given, outputs=wanted), left)


@flow
def channel_arguments_of_the_users_own_are_accepted(server):
    """A client with custom channel arguments is served."""
    arguments = [
        ("grpc.http2.max_frame_size", 32768),
        ("grpc.initial_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    with connect(server, channel_args=arguments) as client:
        add_sub.check(client.infer("simple", add_sub.inputs(grpcclient)))


@flow
def keepalive_options_are_accepted(server):
    """A client that pings an idle connection is served before and after the pings."""
    options = grpcclient.KeepAliveOptions(
        keepalive_time_ms=2**31 - 1,
        keepalive_timeout_ms=20000,
        keepalive_permit_without_calls=False,
        http2_max_pings_without_data=2,
    )
    with connect(server, keepalive_options=options) as client:
        add_sub.check(client.infer("simple", add_sub.inputs(grpcclient)))


@flow
def a_request_past_its_deadline_is_given_up(server):
    """The client's deadline ends the call, and the same channel serves on."""
    given = grpcclient.InferInput("INPUT0", [1, 2], "FP32")
    given.set_data_from_numpy(np.zeros((1, 2), np.float32))
    with connect(server) as client:
        started = time.monotonic()
        error = raised(InferenceServerException, client.infer, "slow", [given], client_timeout=0.2)
        assert error.status() == "StatusCode.DEADLINE_EXCEEDED", error
        assert time.monotonic() - started < 0.9
        add_sub.check(client.infer("simple", add_sub.inputs(grpcclient), client_timeout=10))


@flow
def a_cancelled_request_calls_back_as_cancelled(server):
    """Cancelling one request in flight leaves the other one of the same model alone."""
    answers = queue.SimpleQueue()
    given = grpcclient.InferInput("INPUT0", [1, 2], "FP32")
    given.set_data_from_numpy(np.ones((1, 2), np.float32))
    with connect(server) as client:
        calls = [
            client.async_infer(
                "slow", [given], lambda result, error: answers.put((result, error)), request_id=name
            )
            for name in ("cancelled", "kept")
        ]
        time.sleep(0.1)
        calls[0].cancel()
        result, error = answers.get(timeout=5)
        assert result is None
        assert "Cancelled" in str(error) or "CANCELLED" in str(error), error
        result, error = answers.get(timeout=10)
        assert error is None, error
        assert result.get_response().id == "kept"


@flow
def classification_returns_the_largest_values(server):
    """A class count turns an output into ``value:index`` strings, largest first."""
    with connect(server) as client:
        wanted = [grpcclient.InferRequestedOutput("OUTPUT0", class_count=3)]
        result = client.infer("simple", add_sub.inputs(grpcclient), outputs=wanted)
        assert result.as_numpy("OUTPUT0").tolist() == [[b"16:15", b"15:14", b"14:13"]]


@flow
def the_repository_index_lists_every_version(server):
    """All models are there and ready."""
    with connect(server) as client:
        models = client.get_model_repository_index().models
        assert {m.state for m in models} == {"READY"}
        assert ("simple", "1") in {(m.name, m.version) for m in models}


@flow
def a_large_tensor_passes_both_ways(server):
    """A message far above gRPC's default limit of 4 MiB is received and sent."""
    values = np.arange(5 << 20, dtype=np.float32)[None]
    given = grpcclient.InferInput("INPUT0", list(values.shape), "FP32")
    given.set_data_from_numpy(values)
    with connect(server) as client:
        np.testing.assert_array_equal(client.infer("id_fp32", [given]).as_numpy("OUTPUT0"), values)


if __name__ == "__main__":
    main()

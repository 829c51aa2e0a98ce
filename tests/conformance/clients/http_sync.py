"""The synchronous HTTP client: the flows of its simple examples."""

import add_sub
import numpy as np
import tritonclient.http as httpclient
from flows import flow, main, raised
from tritonclient.utils import InferenceServerException

QUERY = {"test_1": 1, "test_2": 2}


def connect(server, **options):
    """Return a client."""
    return httpclient.InferenceServerClient(server.http, **options)


@flow
def add_and_subtract_with_binary_tensors(server):
    """Both outputs come back as binary data when asked for so."""
    with connect(server) as client:
        wanted = add_sub.outputs(httpclient, binary_data=True)
        add_sub.check(client.infer("simple", add_sub.inputs(httpclient), outputs=wanted))


@flow
def add_and_subtract_with_json_tensors(server):
    """The same works with tensors as JSON in both directions."""
    with connect(server) as client:
        given = add_sub.inputs(httpclient, binary_data=False)
        wanted = add_sub.outputs(httpclient, binary_data=False)
        add_sub.check(client.infer("simple", given, outputs=wanted))


@flow
def add_and_subtract_with_mixed_tensors(server):
    """One tensor may be JSON and the other one binary."""
    with connect(server) as client:
        given = [
            add_sub.inputs(httpclient, binary_data=False)[0],
            add_sub.inputs(httpclient, binary_data=True)[1],
        ]
        wanted = [
            httpclient.InferRequestedOutput("OUTPUT0", binary_data=False),
            httpclient.InferRequestedOutput("OUTPUT1", binary_data=True),
        ]
        add_sub.check(client.infer("simple", given, outputs=wanted))


@flow
def all_outputs_are_returned_when_none_is_named(server):
    """Without requested outputs the client asks for all of them in binary form."""
    with connect(server) as client:
        result = client.infer("simple", add_sub.inputs(httpclient), query_params=QUERY)
        add_sub.check(result)
        assert [o["name"] for o in result.get_response()["outputs"]] == ["OUTPUT0", "OUTPUT1"]


@flow
def only_the_named_output_is_returned(server):
    """A request for one output gets that one alone."""
    with connect(server) as client:
        wanted = [httpclient.InferRequestedOutput("OUTPUT1")]
        result = client.infer("simple", add_sub.inputs(httpclient), outputs=wanted)
        assert [o["name"] for o in result.get_response()["outputs"]] == ["OUTPUT1"]
        assert result.as_numpy("OUTPUT0") is None


@flow
def request_id_and_version_are_returned(server):
    """The id is echoed and the version that answered is named."""
    with connect(server) as client:
        result = client.infer(
            "simple", add_sub.inputs(httpclient), model_version="1", request_id="first"
        )
        answer = result.get_response()
        assert (answer["id"], answer["model_name"], answer["model_version"]) == (
            "first", "simple", "1"
        )  # fmt: skip


@flow
def requests_and_answers_may_be_compressed(server):
    """Gzip and deflate work in both directions and in every combination."""
    with connect(server) as client:
        for sent in (None, "gzip", "deflate"):
            for received in (None, "gzip", "deflate"):
                result = client.infer(
                    "simple",
                    add_sub.inputs(httpclient),
                    request_compression_algorithm=sent,
                    response_compression_algorithm=received,
                )
                add_sub.check(result)


@flow
def statistics_count_the_requests(server):
    """The statistics of one model are a list of one that grows with its requests."""
    with connect(server) as client:
        before = client.get_inference_statistics("simple", query_params=QUERY)["model_stats"]
        client.infer("simple", add_sub.inputs(httpclient))
        after = client.get_inference_statistics("simple")["model_stats"]
        assert len(before) == len(after) == 1
        grown = after[0]["inference_stats"]["success"]["count"]
        assert grown == before[0]["inference_stats"]["success"]["count"] + 1
        assert after[0]["last_inference"] >= before[0]["last_inference"]


@flow
def requests_in_flight_at_once_are_all_answered(server):
    """Asynchronous requests over several connections each get their own answer."""
    with connect(server, concurrency=8) as client:
        lefts = [add_sub.LEFT + n for n in range(40)]
        waiting = [client.async_infer("simple", add_sub.inputs(httpclient, left)) for left in lefts]
        for left, request in zip(lefts, waiting, strict=True):
            add_sub.check(request.get_result(), left)


@flow
def int8_wraps_around(server):
    """INT8 tensors are added and subtracted in INT8."""
    left, right = np.full((1, 16), 100, np.int8), np.full((1, 16), 100, np.int8)
    with connect(server) as client:
        for binary in (True, False):
            given = add_sub.inputs(httpclient, left, right, "INT8", binary_data=binary)
            wanted = add_sub.outputs(httpclient, binary_data=binary)
            result = client.infer("simple_int8", given, outputs=wanted)
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), np.full((1, 16), -56))
            np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), np.zeros((1, 16)))


@flow
def strings_are_added_and_subtracted(server):
    """BYTES tensors of decimal numbers work in every combination of binary and JSON."""
    texts = add_sub.as_text(add_sub.LEFT), add_sub.as_text(add_sub.RIGHT)
    with connect(server) as client:
        for sent in (True, False):
            for received in (True, False):
                given = add_sub.inputs(httpclient, *texts, "BYTES", binary_data=sent)
                wanted = add_sub.outputs(httpclient, binary_data=received)
                result = client.infer("simple_string", given, outputs=wanted)
                found = [result.as_numpy(name) for name in ("OUTPUT0", "OUTPUT1")]
                assert [int(v) for v in found[0].flat] == list((add_sub.LEFT + 1).flat)
                assert [int(v) for v in found[1].flat] == list((add_sub.LEFT - 1).flat)


@flow
def strings_keep_their_nulls_and_empty_elements(server):
    """NUL characters, empty strings and text beyond ASCII come back as they were sent."""
    values = np.array([[b"he\x00llo", b"\x00", b"", "grüße ☕".encode(), b"x" * 300]], object)
    with connect(server) as client:
        for binary in (True, False):
            given = httpclient.InferInput("INPUT0", [1, 5], "BYTES")
            given.set_data_from_numpy(values, binary_data=binary)
            wanted = [httpclient.InferRequestedOutput("OUTPUT0", binary_data=binary)]
            result = client.infer("simple_identity", [given], outputs=wanted)
            found = [
                v.encode() if isinstance(v, str) else bytes(v)
                for v in result.as_numpy("OUTPUT0").flat
            ]
            assert found == list(values.flat), found


@flow
def health_is_good(server):
    """Liveness and readiness hold; an unknown model is not ready; query strings are ignored."""
    with connect(server) as client:
        assert client.is_server_live(query_params=QUERY)
        assert client.is_server_ready(query_params=QUERY)
        assert client.is_model_ready("simple", query_params=QUERY)
        assert client.is_model_ready("simple", "1")
        assert not client.is_model_ready("wrong_model_name")
        assert not client.is_model_ready("simple", "2")


@flow
def metadata_describes_server_and_model(server):
    """Server metadata and model metadata have the reference's names and shapes."""
    with connect(server) as client:
        described = client.get_server_metadata(query_params=QUERY)
        assert described["name"] == "triton"
        assert {"classification", "binary_tensor_data", "statistics"} <= set(
            described["extensions"]
        )
        model = client.get_model_metadata("simple", query_params=QUERY)
        assert model["name"] == "simple"
        assert model["versions"] == ["1"]
        assert model["platform"] == "onnxruntime_onnx"
        assert model["inputs"][1] == {"name": "INPUT1", "datatype": "INT32", "shape": [-1, 16]}
        config = client.get_model_config("simple", query_params=QUERY)
        assert config["max_batch_size"] == 8
        assert config["input"][0]["data_type"] == "TYPE_INT32"
        assert config["input"][0]["dims"] == [16]


@flow
def an_unknown_model_is_an_error_with_the_references_text(server):
    """Every question about an unknown model says so."""
    with connect(server) as client:
        for ask in (client.get_model_metadata, client.get_model_config):
            error = raised(InferenceServerException, ask, "wrong_model_name")
            assert "Request for unknown model: 'wrong_model_name' is not found" in str(error)
            assert error.status() == "404"
        error = raised(
            InferenceServerException,
            client.infer,
            "wrong_model_name",
            add_sub.inputs(httpclient),
        )
        assert "Request for unknown model" in str(error)


@flow
def infer_objects_can_be_used_again(server):
    """The same input and output objects serve several requests with changing data."""
    given, wanted = add_sub.inputs(httpclient), add_sub.outputs(httpclient)
    with connect(server) as client:
        for step in range(3):
            left = add_sub.LEFT + step
            given[0].set_data_from_numpy(left, binary_data=bool(step % 2))
            add_sub.check(client.infer("simple", given, outputs=wanted), left)


@flow
def a_batch_is_answered_row_by_row(server):
    """A batch up to max_batch_size has its rows in order."""
    left = np.arange(8 * 16, dtype=np.int32).reshape(8, 16)
    right = np.full((8, 16), 3, np.int32)
    with connect(server) as client:
        add_sub.check(client.infer("simple", add_sub.inputs(httpclient, left, right)), left, right)


@flow
def classification_returns_the_largest_values(server):
    """A class count turns an output into ``value:index`` strings, largest first."""
    with connect(server) as client:
        for binary in (True, False):
            wanted = [httpclient.InferRequestedOutput("OUTPUT0", binary_data=binary, class_count=3)]
            result = client.infer("simple", add_sub.inputs(httpclient), outputs=wanted)
            found = [v if isinstance(v, str) else v.decode() for v in result.as_numpy("OUTPUT0")[0]]
            assert found == ["16:15", "15:14", "14:13"], found


@flow
def the_repository_index_lists_every_version(server):
    """All models are there and ready."""
    with connect(server) as client:
        index = client.get_model_repository_index(query_params=QUERY)
        states = {entry["name"]: (entry["version"], entry["state"]) for entry in index}
        assert states["simple"] == ("1", "READY")
        assert {state for _, state in states.values()} == {"READY"}, states


@flow
def load_and_unload_are_refused_outside_explicit_mode(server):
    """Model control answers that it is not allowed."""
    with connect(server) as client:
        for ask in (client.load_model, client.unload_model):
            error = raised(InferenceServerException, ask, "simple")
            assert "explicit model load / unload is not allowed if polling is enabled" in str(error)
            assert error.status() == "503"


if __name__ == "__main__":
    main()

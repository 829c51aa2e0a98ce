"""The other HTTP endpoints as curl sees them: paths, methods, documents, connections."""

import json
import socket
import subprocess

import pytest

INPUTS = [
    {"name": n, "shape": [1, 16], "datatype": "INT32", "data": [1] * 16}
    for n in ("INPUT0", "INPUT1")
]
INFER = "/v2/models/simple/infer"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v2/", "/v2/nope", "/v2/models", "/v2/models/simple/", "/v2/models/simple/nope",
        "/v2/health", "/v2/health/ready/", "/v2/models/simple/versions/abc", "/v1/models/simple",
    ],
)  # fmt: skip
def test_a_path_that_is_not_served_is_not_found(curl, path):
    """Paths are matched whole, trailing slash and all."""
    answer = curl(path)
    assert (answer.status, answer.body) == (404, b'{"error":"Not Found"}')


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/health/live"), ("POST", "/v2/health/ready"), ("POST", "/v2"), ("PUT", "/v2"),
        ("GET", INFER), ("POST", "/v2/models/simple"), ("POST", "/v2/models/simple/ready"),
        ("POST", "/v2/models/simple/config"), ("POST", "/v2/models/simple/stats"),
        ("POST", "/v2/models/stats"), ("GET", "/v2/repository/index"),
        ("GET", "/v2/repository/models/simple/load"), ("DELETE", INFER),
    ],
)  # fmt: skip
def test_a_method_that_does_not_fit_is_not_allowed(curl, method, path):
    """A served path with another method is answered 405."""
    answer = curl(path, "-X", method)
    assert (answer.status, answer.body) == (405, b'{"error":"Method Not Allowed"}')


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/simple/ready"])
def test_health_answers_are_empty(curl, path):
    """A good health answer has no body at all; a query string is ignored."""
    for query in ("", "?test_1=1&test_2=2"):
        answer = curl(path + query)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == "0"


@pytest.mark.parametrize("path", ["/v2/models/nope/ready", "/v2/models/simple/versions/9/ready"])
def test_a_model_that_is_not_there_is_not_ready(curl, path):
    """Readiness of an unknown model or version is a plain no."""
    answer = curl(path)
    assert (answer.status, answer.body) == (400, b'{"error":"Model version not ready"}')


def test_server_metadata_is_the_references(curl):
    """The keys and the extensions come in the reference's order; only what is built is named."""
    answer = curl("/v2")
    found = json.loads(answer.body)
    assert list(found) == ["name", "version", "extensions"]
    known = [
        "classification", "sequence", "model_repository", "model_repository(unload_dependents)",
        "schedule_policy", "model_configuration", "system_shared_memory", "cuda_shared_memory",
        "binary_tensor_data", "parameters", "statistics", "trace", "logging",
    ]  # fmt: skip
    assert [name for name in known if name in found["extensions"]] == found["extensions"]
    assert set(found["extensions"]) >= set(known) - {
        "system_shared_memory", "cuda_shared_memory", "trace", "logging",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/v2/models/simple", "/v2/models/simple/versions/1"])
def test_model_metadata_is_the_references(curl, path):
    """The metadata document has the reference's keys, order and shapes."""
    tensors = [
        f'{{"name":"{name}","datatype":"INT32","shape":[-1,16]}}'
        for name in ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")
    ]
    answer = curl(path)
    assert answer.body.decode() == (
        '{"name":"simple","versions":["1"],"platform":"onnxruntime_onnx",'
        f'"inputs":[{",".join(tensors[:2])}],"outputs":[{",".join(tensors[2:])}]}}'
    )


def test_the_config_lists_unset_fields_too(curl):
    """The config is the protobuf message as JSON: defaults printed, 64-bit numbers as numbers."""
    found = json.loads(curl("/v2/models/simple/config").body)
    assert list(found)[:6] == [
        "name", "platform", "backend", "runtime", "version_policy", "max_batch_size",
    ]  # fmt: skip
    assert found["version_policy"] == {"latest": {"num_versions": 1}}
    assert found["input"][0] == {
        "name": "INPUT0",
        "data_type": "TYPE_INT32",
        "format": "FORMAT_NONE",
        "dims": [16],
        "is_shape_tensor": False,
        "allow_ragged_batch": False,
        "optional": False,
        "is_non_linear_format_io": False,
    }
    assert found["instance_group"][0]["kind"] == "KIND_CPU"
    assert found["default_model_filename"] == "model.onnx"
    assert found["metric_tags"] == {}
    assert found["model_warmup"] == []
    assert "dynamic_batching" not in found
    dyna = json.loads(curl("/v2/models/simple_dyna_sequence/config").body)
    assert dyna["sequence_batching"]["max_sequence_idle_microseconds"] == 10000000


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v2/models/nope", 404, "Request for unknown model: 'nope' is not found"),
        ("/v2/models/nope/config", 404, "Request for unknown model: 'nope' is not found"),
        ("/v2/models/simple/versions/99", 404,
         "Request for unknown model: 'simple' version 99 is not found"),
        ("/v2/models/nope/stats", 400, "requested model 'nope' is not available"),
        ("/v2/models/simple/versions/7/stats", 400,
         "requested model version is not available for model 'simple'"),
    ],
)  # fmt: skip
def test_questions_about_what_is_not_there(curl, path, status, text):
    """Metadata, config and statistics say which model or version is missing."""
    answer = curl(path)
    assert (answer.status, json.loads(answer.body)["error"]) == (status, text)


@pytest.mark.parametrize("action", ["load", "unload"])
def test_model_control_is_refused_in_mode_none(curl, action):
    """Outside explicit mode load and unload are unavailable."""
    answer = curl(f"/v2/repository/models/simple/{action}", "-X", "POST")
    assert answer.status == 503
    assert json.loads(answer.body)["error"] == (
        "explicit model load / unload is not allowed if polling is enabled"
    )


def test_the_index_can_be_limited_to_ready_models(curl):
    """The index answers an empty body and a filter; the filter must be a boolean."""
    everything = json.loads(curl("/v2/repository/index", "-X", "POST").body)
    ready = json.loads(curl("/v2/repository/index", body=b'{"ready":true}').body)
    assert {"name": "simple", "version": "1", "state": "READY"} in everything
    assert ready == everything
    refused = curl("/v2/repository/index", body=b'{"ready":5}')
    assert refused.status == 400
    assert json.loads(refused.body)["error"] == "Invalid value for 'ready': expected a boolean"


def test_a_named_repository_is_not_supported(curl):
    """The optional repository name of the model control paths is refused."""
    answer = curl("/v2/repository/some/index", "-X", "POST")
    assert answer.status == 501
    assert json.loads(answer.body)["error"] == "'repository_name' specification is not supported"


def test_one_connection_serves_on_after_errors(server, curl):
    """Good and bad requests in turn need one connection only."""
    base = f"http://{server.http}"
    requests = [
        [f"{base}/v2/health/ready"],
        ["-X", "POST", "-d", "{", f"{base}{INFER}"],
        [f"{base}/nope"],
        ["-X", "DELETE", f"{base}{INFER}"],
        [f"{base}/v2/models/nope"],
        ["-X", "POST", "-d", json.dumps({"inputs": INPUTS}), f"{base}{INFER}"],
        ["-X", "POST", "-d", json.dumps({"inputs": INPUTS[:1]}), f"{base}{INFER}"],
        [f"{base}/v2/health/live"],
    ]
    each = ["-s", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n"]
    command = ["curl"]
    for request in requests:
        command += [*each, *request, "--next"]
    done = subprocess.run(command[:-1], capture_output=True, text=True, timeout=30, check=True)
    codes, connections = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert codes == ("200", "500", "404", "405", "404", "200", "400", "200")
    assert connections == ("1", *"0000000")


def test_a_head_start_of_the_next_request_is_kept(server):
    """Two requests written at once on one connection get two answers in order."""
    host, port = server.http.rsplit(":", 1)
    body = json.dumps({"inputs": INPUTS})
    request = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    other = "GET /v2/models/nope HTTP/1.1\r\nHost: x\r\n\r\n"
    last = "GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall((request + other + request + last).encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [int(part[:3]) for part in received.decode().split("HTTP/1.1 ")[1:]] == [
        200, 404, 200, 200,
    ]  # fmt: skip

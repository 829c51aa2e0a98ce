"""Health, metadata, statistics, and what happens to paths, methods and errors."""

import pytest

from inferd.errors import BackendError, QueueFull

_BODY = b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[1],"data":[1]}]}'


@pytest.mark.parametrize(("good", "status"), [(True, 200), (False, 400)])
@pytest.mark.parametrize("what", ["live", "ready"])
async def test_health_is_a_status_without_a_body(http, dataplane, what, good, status):
    """Probes look at the status; the body is empty plain text."""
    setattr(dataplane, what, good)
    async with http.get(f"/v2/health/{what}") as response:
        assert response.status == status
        assert await response.read() == b""
        assert response.headers["Content-Type"] == "text/plain"
        assert response.headers["Content-Length"] == "0"


async def test_model_ready_is_empty_or_says_not_ready(http):
    """A ready model answers 200 with nothing, any other 400 with a reason."""
    async with http.get("/v2/models/echo/versions/1/ready") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with http.get("/v2/models/unknown/ready") as response:
        assert response.status == 400
        assert await response.read() == b'{"error":"Model version not ready"}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2", b'{"name":"triton","version":"1","extensions":["statistics"]}'),
        (
            "/v2/models/echo",
            b'{"name":"echo","versions":["1"],"platform":"identity",'
            b'"inputs":[{"name":"IN","datatype":"FP32","shape":[-1,-1]}],'
            b'"outputs":[{"name":"IN","datatype":"FP32","shape":[-1,-1]}]}',
        ),
    ],
)
async def test_metadata_is_compact_and_ordered(http, path, body):
    """Metadata is byte for byte what Triton would write."""
    async with http.get(path) as response:
        assert await response.read() == body
        assert response.headers["Content-Type"] == "application/json"


async def test_the_config_is_the_model_config_as_json(http):
    """perf_analyzer finds max_batch_size in the config."""
    async with http.get("/v2/models/echo/config") as response:
        assert (await response.json())["max_batch_size"] == 8


async def test_statistics_of_one_version_and_of_all(http, dataplane):
    """The path chooses the model and version; no model means all."""
    async with http.get("/v2/models/echo/versions/1/stats") as response:
        document = await response.json()
        assert document["model_stats"][0]["batch_stats"][0] == {
            "batch_size": 2,
            "compute_input": {"count": 0, "ns": 0},
            "compute_infer": {"count": 1, "ns": 5},
            "compute_output": {"count": 0, "ns": 0},
        }
    async with http.get("/v2/models/stats") as response:
        assert response.status == 200
    assert dataplane.calls == [("statistics", "echo", "1"), ("statistics", "", "")]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v2/", 404, b"Not Found"),
        ("GET", "/v2/models/echo/generate", 404, b"Not Found"),
        ("POST", "/v2", 405, b"Method Not Allowed"),
        ("GET", "/v2/models/echo/infer", 405, b"Method Not Allowed"),
        ("PUT", "/v2/health/live", 405, b"Method Not Allowed"),
        ("GET", "/v2/models/no", 404, b"Request for unknown model: 'no' is not found"),
    ],
)
async def test_wrong_paths_and_methods_say_so_in_json(http, method, path, status, message):
    """A mistake in the path is told apart from one in the method and in the model."""
    async with http.request(method, path) as response:
        assert response.status == status
        assert await response.read() == b'{"error":"%s"}' % message


async def test_errors_of_the_model_keep_their_text(http, dataplane):
    """A full queue is 503 and a backend error 500, with their messages."""
    dataplane.failure = QueueFull("Exceeds maximum queue size")
    async with http.post("/v2/models/echo/infer", data=_BODY) as response:
        assert response.status == 503
        assert await response.read() == b'{"error":"Exceeds maximum queue size"}'
    dataplane.failure = BackendError("broke")
    async with http.post("/v2/models/echo/infer", data=_BODY) as response:
        assert (response.status, await response.read()) == (500, b'{"error":"broke"}')


@pytest.mark.parametrize("kind", [ZeroDivisionError, ConnectionResetError, TimeoutError])
async def test_an_unforeseen_error_is_logged_and_not_told(http, dataplane, caplog, kind):
    """The detail of a bug goes to the log, not to the client, whose connection stays."""
    dataplane.failure = kind("secret")
    async with http.post("/v2/models/echo/infer", data=_BODY) as response:
        assert (response.status, await response.read()) == (500, b'{"error":"internal error"}')
    assert "secret" in caplog.text

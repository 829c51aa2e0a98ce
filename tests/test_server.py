"""The composition root: what is built, started and stopped."""

import asyncio
import socket
import ssl

import aiohttp
import pytest

from inferd.config import ServerConfig
from inferd.errors import ConfigError
from inferd.server import Server, StartError

CONFIG = """
backend: "identity"
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ -1 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ -1 ] }
"""
BODY = {"inputs": [{"name": "INPUT0", "datatype": "INT32", "shape": [2], "data": [4, 5]}]}


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """A repository with one good model."""
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "config.pbtxt").write_text(CONFIG)
    return tmp_path


@pytest.fixture(name="make")
async def _make(repository):
    """Make servers on free loopback ports, stopped at the end."""
    made = []

    def make(**more):
        settings = {"http_port": 0, "grpc_port": 0, "metrics_port": 0} | more
        for service in ("http", "grpc", "metrics"):
            settings.setdefault(f"{service}_address", "127.0.0.1")
        made.append(Server(ServerConfig(model_repositories=(str(repository),), **settings)))
        return made[-1]

    yield make
    for server in made:
        await server.stop(5)


async def get(server, path, port=None, method="GET", **more):
    """Return status and text of an HTTP request."""
    url = f"http://127.0.0.1:{port or server.http.port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, **more) as reply:
        return reply.status, await reply.text()


async def test_a_started_server_answers_on_every_port(make):
    """HTTP, gRPC and metrics, on ports of their own."""
    server = make()
    assert await server.load_models() == {}
    await server.listen()

    assert await get(server, "/v2/health/ready") == (200, "")
    status, text = await get(server, "/v2/models/m/infer", method="POST", json=BODY)
    assert (status, '"data":[4,5]' in text) == (200, True)
    _, page = await get(server, "/metrics", server.metrics.port)
    assert 'nv_inference_request_success{model="m",version="1"} 1' in page
    assert len({server.http.port, server.grpc.port, server.metrics.port}) == 3


async def test_only_what_is_allowed_is_served(make):
    """Each service can be left out."""
    server = make(allow_grpc=False, allow_metrics=False)
    await server.load_models()
    await server.listen()

    assert (server.grpc, server.metrics) == (None, None)
    assert await get(server, "/v2/health/live") == (200, "")


async def test_a_failed_model_is_reported_and_the_others_serve(make, repository):
    """The caller decides what that means for the start-up."""
    (repository / "bad" / "1").mkdir(parents=True)
    server = make()
    failed = await server.load_models()
    await server.listen()

    assert list(failed) == ["bad"]
    assert await get(server, "/v2/health/ready") == (400, "")
    assert await get(server, "/v2/models/m/ready") == (200, "")


@pytest.mark.parametrize(
    ("mode", "load", "serving"),
    [
        ("none", (), ["m"]),
        ("explicit", (), []),
        ("explicit", ("m",), ["m"]),
        ("explicit", ("*",), ["m"]),
        ("poll", (), ["m"]),
    ],
)
async def test_the_control_mode_decides_what_is_loaded(make, mode, load, serving):
    """Explicit loads only what is named."""
    server = make(model_control_mode=mode, load_models=load)
    await server.load_models()

    assert [loaded.name for loaded in server.registry.serving()] == serving


async def test_classification_with_compiled_kernels(make, repository):
    """``--cpu-kernels numba`` compiles before the server listens, and answers alike."""
    server = make(cpu_kernels="numba")
    await server.load_models()
    await server.listen()
    body = BODY | {"outputs": [{"name": "OUTPUT0", "parameters": {"classification": 1}}]}
    status, text = await get(server, "/v2/models/m/infer", method="POST", json=body)

    assert (status, '"data":["5:1"]' in text) == (200, True)


async def test_a_port_in_use_is_named(make):
    """With the reference's text."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = make(http_port=port)
        await server.load_models()
        with pytest.raises(
            StartError,
            match=f"failed to start HTTP service: Unavailable - Socket '127.0.0.1:{port}' already",
        ):
            await server.listen()


async def test_stopping_answers_what_was_accepted(make, repository):
    """And frees the models."""
    path = repository / "m" / "config.pbtxt"
    path.write_text(CONFIG + 'parameters { key: "execute_delay_ms" value { string_value: "300" } }')
    server = make()
    await server.load_models()
    await server.listen()
    asking = asyncio.ensure_future(get(server, "/v2/models/m/infer", method="POST", json=BODY))
    while not server.registry.lookup("m", "").scheduler.inflight:  # noqa: ASYNC110 - no event for it
        await asyncio.sleep(0)

    assert await server.stop(10)
    status, text = await asking
    assert (status, "4,5" in text) == (200, True)
    assert not list(server.registry.serving())


async def test_a_server_that_never_listened_can_be_stopped(make):
    """A signal may come while models load."""
    server = make()
    await server.load_models()

    assert await server.stop(5)


@pytest.mark.parametrize("repository_name", ["s3://bucket/models", "/does/not/exist"])
def test_a_repository_that_cannot_be_read_is_named(repository_name):
    """Before anything is started."""
    with pytest.raises(ConfigError, match=f"--model-repository: {repository_name}"):
        Server(ServerConfig(model_repositories=(repository_name,)))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"grpc_server_cert": "c"}, "--grpc-server-cert has no effect without --grpc-use-ssl"),
        ({"http_root_cert": "r"}, "--http-root-cert has no effect without --http-use-ssl"),
        ({"http_use_ssl": True, "http_root_cert": "r"}, "--http-root-cert has no effect without"),
    ],
)
async def test_files_of_tls_without_use_are_told(make, server_pair, caplog, settings, line):
    """An operator who names a file means something by it."""
    files = {"http_server_cert": server_pair.certificate, "http_server_key": server_pair.key}
    make(**({**files, **settings} if "http_use_ssl" in settings else settings))
    assert [line in record.getMessage() for record in caplog.records] == [True]


async def test_files_of_tls_are_checked_before_models_are_loaded(make, server_pair):
    """A server without its key is not made at all; of a service that is off they may lack."""
    settings = {
        "grpc_use_ssl": True,
        "grpc_server_cert": server_pair.certificate,
        "grpc_server_key": "/does/not/exist",
    }
    with pytest.raises(ConfigError, match="--grpc-server-key: /does/not/exist: No such file"):
        make(**settings)
    make(**settings, allow_grpc=False)


async def test_tls_on_both_ports(make, authority, server_pair):
    """Clients that trust the root are served over HTTPS."""
    files = {
        f"{service}_{name}": value
        for service in ("http", "grpc")
        for name, value in (
            ("use_ssl", True),
            ("server_cert", server_pair.certificate),
            ("server_key", server_pair.key),
        )
    }
    server = make(**files)
    await server.load_models()
    await server.listen()
    server.reload_certificates()
    trusting = ssl.create_default_context(cafile=authority.root)
    async with aiohttp.ClientSession() as session:
        url = f"https://localhost:{server.http.port}/v2/health/ready"
        async with session.get(url, ssl=trusting) as reply:
            assert reply.status == 200
    trusting.set_alpn_protocols(["http/1.1", "h2"])
    _, writer = await asyncio.open_connection("localhost", server.grpc.port, ssl=trusting)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()


async def test_an_address_that_cannot_be_listened_on_is_told(make):
    """With the system's reason."""
    server = make(http_address="192.0.2.1")
    await server.load_models()
    with pytest.raises(StartError, match="HTTP service: Unavailable - cannot listen on 192"):
        await server.listen()

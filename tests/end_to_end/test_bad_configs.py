"""Scheduling configs that contradict themselves: each is refused with its reason."""

import json

import pytest
from bad_configs import BAD_CONFIGS, PAIR
from model_folders import write_identity, write_model
from plain_http import PlainHttp
from server_process import ServerProcess

ECHO = b'{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'


@pytest.fixture(name="repository", scope="module")
def _repository(tmp_path_factory):
    """A good model, what the ensembles need, and every bad one."""
    folder = tmp_path_factory.mktemp("bad") / "models"
    write_identity(folder, "echo")
    write_model(folder, "pair", PAIR)
    for name, (config, _) in BAD_CONFIGS.items():
        write_model(folder, name, config)
    return folder


@pytest.fixture(name="server", scope="module")
def _server(repository, tmp_path_factory):
    """A server that has loaded the good models only."""
    flags = ("--model-control-mode=explicit", "--load-model=echo", "--load-model=pair")
    server = ServerProcess(repository, tmp_path_factory.mktemp("log") / "serve.log", *flags)
    try:
        yield server.wait_ready()
    finally:
        server.stop()


@pytest.fixture(name="http", scope="module")
def _http(server):
    """A connection to the server."""
    connection = PlainHttp(server.http)
    yield connection
    connection.close()


def index(http: PlainHttp) -> dict[str, tuple[str, str]]:
    """Return model -> (state, reason) of the repository index."""
    models = http.post("/v2/repository/index").json()
    return {one["name"]: (one.get("state", ""), one.get("reason", "")) for one in models}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_bad_config_is_refused_and_the_others_serve(http, name):
    """The load is a client error, the index has the reason, and the good model answers."""
    reason = BAD_CONFIGS[name][1]
    refused = http.post(f"/v2/repository/models/{name}/load")
    state = index(http)[name]

    assert refused.status == 400
    assert reason in refused.error
    assert state[0] == "UNAVAILABLE"
    assert reason in state[1]
    assert state[1].startswith("Invalid argument: ")
    assert name in refused.error
    assert http.post("/v2/models/echo/infer", ECHO).status == 200


def test_an_override_is_refused_as_a_file_is(http, server):
    """The log says why, and the model that serves goes on with the config it had."""
    config = {
        "backend": "identity",
        "dynamic_batching": {"default_queue_policy": {"timeout_action": 7}},
    }
    body = json.dumps({"parameters": {"config": json.dumps(config)}}).encode()
    refused = http.post("/v2/repository/models/echo/load", body)

    assert refused.error == "failed to load 'echo', failed to poll from model repository"
    assert "'dynamic_batching.default_queue_policy.timeout_action' has no value 7" in server.log
    assert index(http)["echo"] == ("READY", "")
    assert http.post("/v2/models/echo/infer", ECHO).status == 200


def test_all_of_them_at_once_do_not_keep_a_server_from_starting(repository, serve):
    """With ``--exit-on-error=false`` the good ones serve and each bad one has its own reason."""
    server = serve(repository, "--exit-on-error=false", "--strict-readiness=false").wait_ready()
    http = PlainHttp(server.http)
    found = index(http)
    answer = http.post("/v2/models/echo/infer", ECHO)
    http.close()

    assert answer.status == 200
    assert {name for name, (state, _) in found.items() if state == "READY"} == {"echo", "pair"}
    assert not [name for name, (_, part) in BAD_CONFIGS.items() if part not in found[name][1]]

"""The model control examples, against a server in explicit mode."""

import json
import time

import add_sub
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from flows import flow, main, raised
from tritonclient.utils import InferenceServerException

BAD_CONFIG = '{"parameters": {"config": {{"max_batch_size": "16"}}}}'


def clients(server):
    """Yield a client of each protocol with its module."""
    with httpclient.InferenceServerClient(server.http) as client:
        yield client, httpclient
    with grpcclient.InferenceServerClient(server.grpc) as client:
        yield client, grpcclient


def index(client, module):
    """Return the repository index as dictionaries."""
    if module is httpclient:
        return client.get_model_repository_index()
    return [
        {"name": m.name, "version": m.version, "state": m.state, "reason": m.reason}
        for m in client.get_model_repository_index().models
    ]


def limit(client, module, model):
    """Return the model's max_batch_size."""
    config = client.get_model_config(model)
    return config["max_batch_size"] if module is httpclient else config.config.max_batch_size


def wait_until_unloaded(client, model):
    """Return when the model is not ready; unloading ends in the background."""
    for _ in range(250):
        if not client.is_model_ready(model):
            return
        time.sleep(0.02)
    raise AssertionError(f"{model} is still ready")


def entry_at_rest(client, module, model):
    """Return the model's index entry once it is no longer unloading."""
    for _ in range(250):
        (entry,) = [m for m in index(client, module) if m["name"] == model]
        if entry["state"] != "UNLOADING":
            return entry
        time.sleep(0.02)
    raise AssertionError(f"{model} is still unloading")


@flow
def nothing_is_loaded_at_the_start(server):
    """The index lists every model of the repository by name, and none is ready."""
    names = sorted(p.name for p in server.repository.iterdir() if (p / "config.pbtxt").exists())
    for client, module in clients(server):
        assert client.is_server_ready()
        found = index(client, module)
        assert sorted(m["name"] for m in found) == names
        assert not any(m.get("state") for m in found), found
        assert not client.is_model_ready("simple")


@flow
def a_model_is_loaded_used_and_unloaded(server):
    """Load makes a model ready, unload takes it away, and the index says so."""
    for client, module in clients(server):
        client.load_model("simple")
        assert client.is_model_ready("simple")
        add_sub.check(client.infer("simple", add_sub.inputs(module)))
        (entry,) = [m for m in index(client, module) if m["name"] == "simple"]
        assert (entry["version"], entry["state"]) == ("1", "READY")
        client.unload_model("simple")
        wait_until_unloaded(client, "simple")
        entry = entry_at_rest(client, module, "simple")
        assert (entry["state"], entry["reason"]) == ("UNAVAILABLE", "unloaded")
        error = raised(InferenceServerException, client.infer, "simple", add_sub.inputs(module))
        assert "Request for unknown model: 'simple' has no available versions" in str(error), error
        assert client.is_server_ready()


@flow
def a_config_override_replaces_the_models_config(server):
    """A config given with the load is used instead of the file, until the next load."""
    for client, module in clients(server):
        client.load_model("simple")
        before = limit(client, module, "simple")
        override = {
            "platform": "onnxruntime_onnx",
            "max_batch_size": "16",
            "input": [
                {"name": n, "data_type": "TYPE_INT32", "dims": ["16"]} for n in ("INPUT0", "INPUT1")
            ],
            "output": [
                {"name": n, "data_type": "type_int32", "dims": [16]} for n in ("OUTPUT0", "OUTPUT1")
            ],
        }
        client.load_model("simple", config=json.dumps(override))
        assert (before, limit(client, module, "simple")) == (8, 16)
        client.load_model("simple", config='{"max_batch_size": "16"}')
        assert limit(client, module, "simple") == 16
        add_sub.check(client.infer("simple", add_sub.inputs(module)))
        client.load_model("simple")
        assert limit(client, module, "simple") == 8
        client.unload_model("simple")
        wait_until_unloaded(client, "simple")


@flow
def a_bad_override_fails_and_keeps_the_loaded_model(server):
    """A config that does not parse is refused; the model goes on as it was."""
    for client, module in clients(server):
        client.load_model("simple")
        error = raised(InferenceServerException, client.load_model, "simple", config=BAD_CONFIG)
        assert "failed to load 'simple', failed to poll from model repository" in str(error), error
        assert error.status() in {"500", "StatusCode.INTERNAL"}
        assert client.is_model_ready("simple")
        add_sub.check(client.infer("simple", add_sub.inputs(module)))
        client.unload_model("simple")
        wait_until_unloaded(client, "simple")


@flow
def an_unknown_model_fails_to_load(server):
    """A model that is not in the repository is refused by name."""
    for client, _ in clients(server):
        error = raised(InferenceServerException, client.load_model, "wrong_model_name")
        assert "failed to load 'wrong_model_name', failed to poll from model repository" in str(
            error
        )


@flow
def unloading_an_unknown_model_succeeds(server):
    """Unload has nothing to say about a model that is not there."""
    for client, _ in clients(server):
        client.unload_model("wrong_model_name")


@flow
def files_given_with_the_load_make_a_model(server):
    """A model may be loaded from bytes, also under a name the repository does not have."""
    content = (server.repository / "simple" / "1" / "model.onnx").read_bytes()
    for client, module in clients(server):
        for name in ("simple", f"from_bytes_{module.__name__.rsplit('.', 1)[-1]}"):
            client.load_model(
                name,
                config='{"backend": "onnxruntime", "max_batch_size": 4}',
                files={"file:7/model.onnx": content},
            )
            assert client.is_model_ready(name, "7")
            assert not client.is_model_ready(name, "1")
            assert limit(client, module, name) == 4
            add_sub.check(client.infer(name, add_sub.inputs(module), model_version="7"))
            client.unload_model(name)
            wait_until_unloaded(client, name)
        client.load_model("simple")
        assert client.is_model_ready("simple", "1")
        client.unload_model("simple")
        wait_until_unloaded(client, "simple")


@flow
def files_need_a_config(server):
    """Files without a config are refused."""
    for client, _ in clients(server):
        error = raised(
            InferenceServerException, client.load_model, "simple", files={"file:1/model.onnx": b"x"}
        )
        assert "Load parameter 'config' must be specified for model file override" in str(error)


@flow
def files_must_stay_in_the_models_folder(server):
    """A path that leaves the model's folder is refused, and nothing is written there."""
    for client, _ in clients(server):
        error = raised(
            InferenceServerException,
            client.load_model,
            "simple",
            config='{"backend": "onnxruntime"}',
            files={"file:../escaped/model.onnx": b"x"},
        )
        assert "must stay within model directory" in str(error), error
        assert not (server.repository / "escaped").exists()


@flow
def a_file_name_too_long_for_the_disk_is_an_error(server):
    """A file name of 256 characters fails that load and leaves the server alive."""
    for client, _ in clients(server):
        error = raised(
            InferenceServerException,
            client.load_model,
            "simple",
            config='{"backend": "onnxruntime"}',
            files={f"file:{'a' * 256}": b"x"},
        )
        assert error.status() in {"500", "StatusCode.INTERNAL"}, error
        assert "failed to poll from model repository" in str(error), error
        assert client.is_server_live()


@flow
def a_model_file_that_cannot_be_loaded_names_the_reason(server):
    """A broken model file fails the load with the backend's reason."""
    for client, _ in clients(server):
        error = raised(
            InferenceServerException,
            client.load_model,
            "broken_bytes",
            config='{"backend": "onnxruntime", "max_batch_size": 4}',
            files={"file:1/model.onnx": b"not a graph"},
        )
        assert "load failed for model 'broken_bytes': version 1 is at UNAVAILABLE state:" in str(
            error
        ), error
        assert not client.is_model_ready("broken_bytes")


if __name__ == "__main__":
    main()

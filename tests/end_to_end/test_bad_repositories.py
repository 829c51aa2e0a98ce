"""Repositories with something wrong in them: that model is out, the others serve."""

import shutil

import pytest
from model_folders import identity_config, write_identity, write_model
from plain_http import PlainHttp
from server_process import ANY_PORT, LOOPBACK, run_serve

FAILED = "error: creating server: Internal - failed to load all models"


def states(server) -> dict[tuple[str, str], tuple[str, str]]:
    """Return ``(name, version) -> (state, reason)`` of the repository index."""
    connection = PlainHttp(server.http)
    index = connection.post("/v2/repository/index").json()
    connection.close()
    return {
        (m["name"], m.get("version", "")): (m.get("state", ""), m.get("reason", "")) for m in index
    }


def echoes(server, model: str = "echo") -> bool:
    """Tell whether the identity model answers."""
    body = b'{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
    connection = PlainHttp(server.http)
    answer = connection.post(f"/v2/models/{model}/infer", body)
    connection.close()
    return answer.status == 200 and answer.json()["outputs"][0]["data"] == [1.0, 2.0]


@pytest.fixture
def bad_repository(repository, onnx_samples):
    """A repository with one good model and one model of each kind of fault."""
    shutil.copytree(onnx_samples / "simple", repository / "simple")
    cut = shutil.copytree(onnx_samples / "simple", repository / "cut_short")
    content = (cut / "1" / "model.onnx").read_bytes()
    (cut / "1" / "model.onnx").write_bytes(content[: len(content) // 2])
    config = (cut / "config.pbtxt").read_text()
    (cut / "config.pbtxt").write_text(config.replace('"simple"', '"cut_short"'))
    write_identity(repository, "unknown_field", more="no_such_field: 1\n")
    write_identity(repository, "unknown_backend")
    other = identity_config("unknown_backend").replace('"identity"', '"nonesuch"')
    write_model(repository, "unknown_backend", other)
    write_model(repository, "misnamed", identity_config("another_name"))
    write_identity(repository, "no_labels", output='label_filename: "missing.txt"')
    write_identity(
        repository, "half_there", more="version_policy { specific { versions: [1, 3] } }"
    )
    write_identity(repository, "odd_folders", more="version_policy { all {} }")
    for odd in ("abc", "003", "warmup"):
        (repository / "odd_folders" / odd).mkdir()
    write_identity(repository, "no_versions")
    (repository / "no_versions" / "1").rmdir()
    (repository / "a_file").write_text("not a model")
    return repository


def test_bad_models_are_out_with_their_reasons_and_the_others_serve(bad_repository, serve):
    """Each fault makes its model UNAVAILABLE with the reason; the rest of the server works."""
    server = serve(bad_repository, "--exit-on-error=false", "--strict-readiness=false")
    server.wait_ready()
    found = states(server)
    good = {key for key, (state, _) in found.items() if state == "READY"}
    assert {("echo", "1"), ("simple", "1"), ("odd_folders", "1"), ("half_there", "1")} <= good
    assert echoes(server)
    assert echoes(server, "odd_folders")
    assert echoes(server, "half_there")
    reasons = {
        name: reason for (name, _), (state, reason) in found.items() if state == "UNAVAILABLE"
    }
    bad = {"cut_short", "unknown_field", "unknown_backend", "misnamed", "no_labels", "no_versions"}
    assert {name for name, _ in found} - {name for name, _ in good} == bad, found
    assert bad <= set(reasons), found
    assert "model.onnx" in reasons["cut_short"], reasons
    assert "no_such_field" in reasons["unknown_field"], reasons
    assert "unable to find backend library for backend 'nonesuch'" in reasons["unknown_backend"]
    assert "another_name" in reasons["misnamed"], reasons
    assert "missing.txt" in reasons["no_labels"], reasons
    assert "at least one version must be available" in reasons["no_versions"], reasons
    assert "a_file" not in {name for name, _ in found}
    assert "ignore version directory '003'" in server.log
    assert "ignore version directory 'abc'" in server.log
    assert "'warmup'" not in server.log
    assert (
        "version 3 is specified for model 'half_there', but the version directory is not present"
        in server.log
    )
    assert server.log.count("UNAVAILABLE") >= len(bad), "the start-up table lacks bad models"


def test_questions_about_a_bad_model_are_errors(bad_repository, serve):
    """A failed model is not ready and its requests are refused; the server stays ready or not."""
    server = serve(bad_repository, "--exit-on-error=false")
    connection = PlainHttp(server.http)
    assert connection.get("/v2/health/live").status == 200
    assert connection.get("/v2/health/ready").status == 400, "strict readiness needs all models"
    assert connection.get("/v2/models/cut_short/ready").status == 400
    assert connection.get("/v2/models/echo/ready").status == 200
    answer = connection.post("/v2/models/cut_short/infer", b'{"inputs":[]}')
    assert answer.status in (404, 503)
    assert "Request for unknown model: 'cut_short'" in answer.error
    connection.close()
    assert echoes(server)


def test_a_failed_model_ends_the_start_by_default(bad_repository):
    """With ``--exit-on-error`` at its default the server says so and exits 1."""
    ended = run_serve("--model-repository", str(bad_repository), *LOOPBACK, *ANY_PORT)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == FAILED
    assert "Started HTTPService" not in ended.stdout


def test_a_model_in_two_repositories_is_served_from_neither(repository, tmp_path, serve):
    """The same name in two repositories makes that model unavailable, and no other."""
    second = tmp_path / "more"
    write_identity(second, "echo")
    write_identity(second, "other")
    server = serve(repository, "--model-repository", str(second), "--exit-on-error=false")
    found = states(server)
    assert all(state != "READY" for (name, _), (state, _) in found.items() if name == "echo")
    assert "model appears in two or more repositories" in str(found)
    assert echoes(server, "other")


def test_a_model_without_a_config_is_completed(repository, onnx_samples, serve):
    """An ONNX file alone is enough: inputs, outputs and batching follow from the graph."""
    folder = repository / "bare" / "1"
    folder.mkdir(parents=True)
    shutil.copy(onnx_samples / "simple" / "1" / "model.onnx", folder)
    server = serve(repository).wait_ready()
    connection = PlainHttp(server.http)
    config = connection.get("/v2/models/bare/config").json()
    connection.close()
    assert (config["backend"], config["max_batch_size"]) == ("onnxruntime", 4)
    assert [i["name"] for i in config["input"]] == ["INPUT0", "INPUT1"]
    assert config["input"][0]["dims"] == [16]
    assert config["dynamic_batching"]["preferred_batch_size"] == [4]


def test_versions_follow_the_policy(repository, serve):
    """The newest version is served by default; ``all`` serves each by its number."""
    for version in ("2", "10"):
        (repository / "echo" / version).mkdir()
    write_identity(repository, "every", more="version_policy { all {} }\n")
    (repository / "every" / "2").mkdir()
    server = serve(repository).wait_ready()
    found = states(server)
    assert [version for name, version in found if name == "echo"] == ["10"]
    assert sorted(version for name, version in found if name == "every") == ["1", "2"]
    connection = PlainHttp(server.http)
    assert connection.get("/v2/models/every").json()["versions"] == ["1", "2"]
    assert connection.get("/v2/models/every/versions/1").json()["versions"] == ["1"]
    body = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[1]}]}'
    assert connection.post("/v2/models/every/infer", body).json()["model_version"] == "2"
    older = connection.post("/v2/models/every/versions/1/infer", body).json()
    assert older["model_version"] == "1"
    connection.close()

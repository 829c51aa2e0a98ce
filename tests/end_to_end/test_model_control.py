"""The model control modes: none, poll and explicit, as far as no client library is needed."""

import shutil
import threading

from model_folders import identity_config, write_identity
from plain_http import PlainHttp, Reply

ONE = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[7]}]}'


def ready(server, model: str) -> bool:
    """Tell whether the model is ready."""
    return server.get_status(f"/v2/models/{model}/ready") == 200


def max_batch_size(server, model: str) -> int:
    """Return a field of the config that is being served."""
    connection = PlainHttp(server.http)
    config = connection.get(f"/v2/models/{model}/config")
    connection.close()
    return int(config.json()["max_batch_size"]) if config.status == 200 else -1


class Sender(threading.Thread):
    """Sends requests to one model, one after the other, until it is told to stop."""

    def __init__(self, server, model: str) -> None:
        super().__init__(daemon=True)
        self._http = PlainHttp(server.http)
        self._path = f"/v2/models/{model}/infer"
        self._enough = threading.Event()
        self.answers: list[Reply] = []
        self.start()

    def run(self) -> None:
        """Send and collect."""
        while not self._enough.is_set():
            self.answers.append(self._http.post(self._path, ONE))

    def stop(self) -> list[Reply]:
        """Return the answers once the last one is there."""
        self._enough.set()
        self.join(20)
        self._http.close()
        return self.answers


def test_polling_follows_the_repository(repository, serve):
    """New, changed and removed models are picked up; requests go on through a reload."""
    write_identity(repository, "steady", delay_ms=20)
    server = serve(repository, "--model-control-mode", "poll", "--repository-poll-secs", "1")
    server.wait_ready()
    sender = Sender(server, "steady")
    write_identity(repository, "added")
    (repository / "steady" / "config.pbtxt").write_text(
        identity_config("steady", batch=3, delay_ms=20)
    )
    server.wait_until(lambda: ready(server, "added"), "the new model is loaded")
    server.wait_until(lambda: max_batch_size(server, "steady") == 3, "the change is loaded")
    shutil.rmtree(repository / "added")
    server.wait_until(lambda: not ready(server, "added"), "the removed model is unloaded")
    answers = sender.stop()
    assert len(answers) > 10
    assert {a.status for a in answers} == {200}, next(a for a in answers if a.status != 200)
    assert ready(server, "echo")
    connection = PlainHttp(server.http)
    gone = connection.post("/v2/models/added/infer", ONE)
    assert gone.status == 404
    assert connection.post("/v2/repository/models/echo/unload").status == 503
    connection.close()


def test_a_failed_reload_keeps_the_old_model(repository, serve):
    """A model whose change cannot be loaded goes on as it was, and recovers with the next one."""
    server = serve(repository, "--model-control-mode", "poll", "--repository-poll-secs", "1")
    server.wait_ready()
    config = repository / "echo" / "config.pbtxt"
    config.write_text("this is not a config")
    write_identity(repository, "after")
    server.wait_until(lambda: ready(server, "after"), "the repository was polled again")
    assert ready(server, "echo")
    assert max_batch_size(server, "echo") == 8
    config.write_text(identity_config("echo", batch=5))
    server.wait_until(lambda: max_batch_size(server, "echo") == 5, "the repaired model is loaded")


def test_mode_none_ignores_the_repository_and_refuses_control(repository, serve):
    """Models are loaded at the start only, and load and unload are refused."""
    server = serve(repository).wait_ready()
    write_identity(repository, "late")
    connection = PlainHttp(server.http)
    for action in ("load", "unload"):
        answer = connection.post(f"/v2/repository/models/late/{action}")
        assert answer.status == 503
        assert answer.error == "explicit model load / unload is not allowed if polling is enabled"
    assert not ready(server, "late")
    connection.close()


def test_explicit_mode_loads_the_named_models(repository, serve):
    """Only ``--load-model`` models are loaded at the start; the rest when they are asked for."""
    write_identity(repository, "other")
    write_identity(repository, "slow", delay_ms=500)
    server = serve(
        repository, "--model-control-mode", "explicit", "--load-model", "echo", "--load-model=slow"
    ).wait_ready()
    assert ready(server, "echo")
    assert not ready(server, "other")
    connection = PlainHttp(server.http)
    index = {m["name"]: m for m in connection.post("/v2/repository/index").json()}
    assert index["other"] == {"name": "other"}
    assert index["echo"]["state"] == "READY"
    loaded = connection.post("/v2/repository/models/other/load")
    assert (loaded.status, loaded.body) == (200, b"")
    assert ready(server, "other")
    slow = PlainHttp(server.http)
    slow.send("POST", "/v2/models/slow/infer", ONE)
    server.wait_until(lambda: in_flight(server, "slow"), "the slow request is in flight")
    unloaded = connection.post("/v2/repository/models/slow/unload")
    assert (unloaded.status, unloaded.body) == (200, b"")
    assert slow.receive().status == 200, "an unload must not drop a request in flight"
    assert not ready(server, "slow")
    line = "successfully unloaded 'slow' version 1"
    server.wait_until(lambda: line in server.log, "the model is unloaded")
    slow.close()
    connection.close()


def in_flight(server, model: str) -> bool:
    """Tell whether a request of the model has begun to wait or to execute."""
    connection = PlainHttp(server.http)
    (found,) = connection.get(f"/v2/models/{model}/stats").json()["model_stats"]
    connection.close()
    return bool(found["last_inference"])


def test_a_star_loads_every_model(repository, serve):
    """``--load-model=*`` loads the whole repository in explicit mode."""
    write_identity(repository, "other")
    server = serve(repository, "--model-control-mode=explicit", "--load-model=*").wait_ready()
    assert ready(server, "echo")
    assert ready(server, "other")

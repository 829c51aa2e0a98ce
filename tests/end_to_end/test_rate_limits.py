"""Models that share a resource, asked at the same time with tritonclient."""

import json
import re
from pathlib import Path

import pytest
from client_process import run_client
from model_folders import write_identity
from server_process import run_serve

CLIENT = Path(__file__).with_name("clients") / "rate_limited.py"
MS = 300
LIMIT = "--rate-limit=execution_count"


def group(resources: str) -> str:
    """Return an instance group with one instance and these resources."""
    return (
        f"instance_group [{{ count: 1 kind: KIND_CPU rate_limiter {{ resources [{resources}] }} }}]"
    )


@pytest.fixture
def models(repository):
    """Two slow models that need the same, and one that needs something else."""
    for name, resource, count in (("a", "R", 4), ("b", "R", 3), ("c", "S", 1)):
        needs = f'{{ name: "{resource}" count: {count} }}'
        write_identity(repository, name, batch=1, delay_ms=MS, more=group(needs))
    return repository


def ask(server, *wanted: str) -> dict[str, list[list[float]]]:
    """Run the client; return when each request of each model was sent and answered."""
    return json.loads(run_client(CLIENT, server.grpc, *wanted))


def last(times) -> float:
    """Return when the last answer of a model came, in units of an execution."""
    return times[-1][1] / (MS / 1000)


def test_models_that_share_a_resource_execute_one_at_a_time(models, serve):
    """The model that does not need it takes as long as without them."""
    server = serve(models, LIMIT).wait_ready()
    times = ask(server, "a:3", "b:3", "c:3")

    limited = max(last(times["a"]), last(times["b"]))
    assert limited > 5.9
    assert last(times["c"]) < limited
    assert re.search(r"\| rate_limit +\| EXEC_COUNT +\|", server.log)


@pytest.mark.parametrize("flags", [[], [LIMIT, "--rate-limit-resource=R:7"]])
def test_without_a_shortage_they_execute_side_by_side(models, serve, flags):
    """Without the option, and with as much as they need together."""
    server = serve(models, *flags).wait_ready()
    times = ask(server, "a:3", "b:3")

    assert max(last(times["a"]), last(times["b"])) < 5.9
    assert ("'instance_group.rate_limiter' has no effect" in server.log) is not flags


def test_a_model_that_needs_more_than_there_is_is_unavailable(models, serve):
    """The others serve; the reason is in the log."""
    server = serve(models, LIMIT, "--rate-limit-resource=R:3", "--exit-on-error=false")
    server.wait_until(lambda: server.get_status("/v2/models/b/ready") == 200, "b is ready")

    assert server.get_status("/v2/models/a/ready") == 400
    assert (
        'Resource count for "R" is limited to 3 which will prevent scheduling of one or more '
        "model instances, the minimum required count is 4"
    ) in server.log
    assert last(ask(server, "b:1")["b"]) > 0.9


def test_a_resource_that_cannot_be_read_is_refused(repository):
    """In one line."""
    ended = run_serve("--model-repository", str(repository), "--rate-limit-resource=R")

    assert ended.returncode == 2
    assert ended.stderr == (
        "inferd: --rate-limit-resource: expected <name>:<count> or <name>:<count>:<device>: R\n"
    )

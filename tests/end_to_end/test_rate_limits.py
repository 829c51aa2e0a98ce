"""Models that share a resource, asked at the same time with tritonclient."""

import re
from pathlib import Path

import pytest
from client_process import run_client
from model_folders import write_identity
from plain_http import PlainHttp
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


def executions(server, *wanted: str) -> dict[str, list[tuple[int, int]]]:
    """Have requests answered; return when each execution of each model began and ended, in ms."""
    run_client(CLIENT, server.grpc, *wanted)
    connection, found = PlainHttp(server.http), {}
    for name in (word.partition(":")[0] for word in wanted):
        last = connection.get(f"/v2/models/{name}/scheduler").json()["batches"]["last"]
        found[name] = [
            (one["started_ms"], one["started_ms"] + one["compute_infer_us"] // 1000) for one in last
        ]
    connection.close()
    return found


def overlap(some, others) -> bool:
    """Tell whether one of some executions ran beside one of others, for more than rounding."""
    return any(
        min(one[1], other[1]) - max(one[0], other[0]) > MS / 10 for one in some for other in others
    )


def test_models_that_share_a_resource_execute_one_at_a_time(models, serve):
    """The model that does not need it executes beside them."""
    server = serve(models, LIMIT).wait_ready()
    found = executions(server, "a:3", "b:3", "c:3")

    assert [len(found[name]) for name in "abc"] == [3, 3, 3]
    assert not overlap(found["a"], found["b"])
    assert overlap(found["c"], found["a"] + found["b"])
    assert re.search(r"\| rate_limit +\| EXEC_COUNT +\|", server.log)


@pytest.mark.parametrize("flags", [[], [LIMIT, "--rate-limit-resource=R:7"]])
def test_without_a_shortage_they_execute_side_by_side(models, serve, flags):
    """Without the option, and with as much as they need together."""
    server = serve(models, *flags).wait_ready()
    found = executions(server, "a:3", "b:3")

    assert overlap(found["a"], found["b"])
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
    assert len(executions(server, "b:1")["b"]) == 1


def test_a_resource_that_cannot_be_read_is_refused(repository):
    """In one line."""
    ended = run_serve("--model-repository", str(repository), "--rate-limit-resource=R")

    assert ended.returncode == 2
    assert ended.stderr == (
        "inferd: --rate-limit-resource: expected <name>:<count> or <name>:<count>:<device>: R\n"
    )

"""Priorities under load, as the gRPC client library sees them."""

import json
from pathlib import Path

from client_process import run_client
from model_folders import write_identity

CLIENT = Path(__file__).with_name("clients") / "flooded_queue.py"
LOW, HIGH = 60, 5
FEW = 20
"""Low requests that may be answered until the high ones have come, on a busy machine."""


def test_high_priority_overtakes_a_flood_of_low_priority(repository, serve):
    """All are answered once, and the high ones long before most of the low ones."""
    more = "dynamic_batching { priority_levels: 2 default_priority_level: 2 }\n"
    more += "instance_group [{ count: 1 kind: KIND_CPU }]\n"
    write_identity(repository, "levels", batch=1, delay_ms=30, more=more)
    server = serve(repository).wait_ready()
    seen = json.loads(run_client(CLIENT, server.grpc, "levels", str(LOW), str(HIGH), seconds=120))
    came = seen["came"]

    assert seen["left"] == 0
    assert sorted(came) == [*range(-HIGH, 0), *range(1, LOW + 1)]
    assert max(came.index(value) for value in range(-HIGH, 0)) < FEW + HIGH

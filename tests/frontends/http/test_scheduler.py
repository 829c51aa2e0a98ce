"""The document about a scheduler: every member, and what is left out."""

import json

from inferd.frontends.http.scheduler import document
from inferd.models.scheduler_report import SchedulerReport
from inferd.scheduling.snapshot import (
    Batches,
    EnsembleStep,
    ExecutingBatch,
    InstanceState,
    PastBatch,
    QueueLevel,
    SchedulerSnapshot,
    Sequences,
)

BATCHES = Batches(
    executing=[ExecutingBatch(1, 4, 3, "full", 77)],
    closes={"full": 2, "idle": 1},
    sizes={1: 1, 4: 2},
    recent=[PastBatch(1700, 0, 4, 2, "full", [9, 8], 1, 2, 3, 0)],
)


def describe(kind="dynamic", **snapshot):
    """Return the document of a scheduler with two instances."""
    report = SchedulerReport("m", 3, kind, True, ["m_0_0", "m_0_1"], SchedulerSnapshot(**snapshot))
    return json.loads(json.dumps(document(report)))


def test_a_scheduler_with_everything():
    """Instances are named wherever they are mentioned."""
    found = describe(
        inflight=6,
        levels=[QueueLevel(1, 5, 2, 40)],
        instances=[InstanceState(False), InstanceState(True)],
        batches=BATCHES,
    )

    assert found == {
        "model": "m",
        "version": "3",
        "scheduler": "dynamic",
        "response_cache": True,
        "in_flight": 6,
        "queue": [{"level": 1, "waiting": 5, "delayed": 2, "oldest_wait_us": 40}],
        "instances": {
            "count": 2,
            "busy": 1,
            "runs": "thread",
            "list": [{"name": "m_0_0", "busy": False}, {"name": "m_0_1", "busy": True}],
        },
        "batches": {
            "executing": [
                {
                    "instance": "m_0_1",
                    "size": 4,
                    "requests": 3,
                    "reason": "full",
                    "elapsed_us": 77,
                }
            ],
            "reasons": {"full": 2, "idle": 1},
            "sizes": [{"size": 1, "count": 1}, {"size": 4, "count": 2}],
            "last": [
                {
                    "started_ms": 1700,
                    "instance": "m_0_0",
                    "size": 4,
                    "requests": 2,
                    "reason": "full",
                    "queue_us": [9, 8],
                    "compute_input_us": 1,
                    "compute_infer_us": 2,
                    "compute_output_us": 3,
                    "failed": 0,
                }
            ],
        },
    }


def test_sequences_have_slots():
    """Where there are sequences."""
    found = describe(
        "sequence_direct",
        inflight=0,
        instances=[InstanceState(False, 2), InstanceState(False, 0)],
        inline=True,
        sequences=Sequences(2, 1),
        batches=BATCHES,
    )

    assert found["sequences"] == {"live": 2, "backlog": 1}
    assert [one["slots_used"] for one in found["instances"]["list"]] == [2, 0]
    assert found["instances"]["runs"] == "inline"


def test_an_ensemble_has_steps_alone():
    """Its models have the queues."""
    found = describe("ensemble", inflight=2, steps=[EnsembleStep("a", 2)])

    assert found["steps"] == [{"model": "a", "requests": 2}]
    assert not {"queue", "instances", "batches", "sequences"} & set(found)


async def test_the_path_chooses_the_version(http):
    """A model nobody knows is not found, and only GET is allowed."""
    async with http.get("/v2/models/echo/versions/4/scheduler") as response:
        assert response.headers["Content-Type"] == "application/json"
        found = await response.json()
        assert (found["version"], found["in_flight"]) == ("4", 3)
    async with http.get("/v2/models/no/scheduler") as response:
        assert response.status == 404
        assert await response.json() == {"error": "Request for unknown model: 'no' is not found"}
    async with http.post("/v2/models/echo/scheduler") as response:
        assert response.status == 405

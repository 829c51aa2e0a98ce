"""Sequences execute in order on one instance each."""

import asyncio

import pytest

from inferd._generated.inference import ModelSequenceBatching
from inferd.errors import InvalidRequest, ShuttingDown
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequences import SequenceControls, SequenceTable
from inferd.scheduling.statistics import ModelStatistics


@pytest.fixture(name="parts")
async def _parts(make):
    """A scheduler over two instances, and the instances."""
    instances = [make.instance(), make.instance()]
    scheduler = SequenceScheduler(
        SequenceTable("m", 2),
        SequenceControls.from_config("m", ModelSequenceBatching(), batches=True),
        Assembler(make.signature(), 1),
        instances,
        ModelStatistics(),
        name="m",
    )
    yield scheduler, instances
    for instance in instances:
        instance.open()
    await asyncio.wait_for(scheduler.close(), 10)


async def test_each_sequence_has_one_instance_and_keeps_its_order(parts, make):
    """Two sequences run beside each other."""
    scheduler, instances = parts
    requests = [
        make.request(value, sequence_id=key, sequence_start=value == 0)
        for value in range(3)
        for key in (1, 2)
    ]
    answers = await asyncio.gather(*(scheduler.infer(request) for request in requests))

    assert [int(one.outputs[0].array()[0, 0]) for one in answers] == [1, 1, 2, 2, 3, 3]
    assert [instance.sizes for instance in instances] == [[1, 1, 1], [1, 1, 1]]


async def test_a_request_without_start_is_refused(parts, make):
    """And nothing is executed."""
    scheduler, instances = parts
    with pytest.raises(InvalidRequest, match="START"):
        await scheduler.infer(make.request(0, sequence_id=5))

    assert instances[0].sizes == instances[1].sizes == []
    assert scheduler.inflight == 0
    assert not scheduler.runs_inline


async def test_drain_refuses_new_requests(parts, make):
    """On every lane."""
    scheduler, _ = parts
    await scheduler.drain()

    with pytest.raises(ShuttingDown):
        await scheduler.infer(make.request(0, sequence_id=5, sequence_start=True))

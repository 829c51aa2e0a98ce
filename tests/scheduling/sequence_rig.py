"""Schedulers of sequences on instances that are released by hand, and requests for them."""

import asyncio

import pytest

from inferd._generated.inference import (
    ModelSequenceBatching,
)
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.sequences import SequenceTable
from inferd.scheduling.statistics import ModelStatistics

LONG_NS = (2**64 - 1) * 1000
SHORT_NS = 20_000_000


@pytest.fixture(name="build")
async def _build(make):
    """A function that makes a scheduler over fake instances; all are closed at the end."""
    built = []
    tables = {}

    def build(lanes=None, idle_ns=LONG_NS, instances=1, batching=None):
        fakes = [make.instance() for _ in range(instances)]
        batching = batching or ModelSequenceBatching()
        table = SequenceTable("m", lanes or [DirectLane(1) for _ in fakes], idle_ns)
        scheduler = SequenceScheduler(
            table,
            SequenceAssembler(
                Assembler(make.signature(), 1),
                SequenceControls.from_config("m", batching, batches=True),
                SequenceStates.from_config("m", batching, batches=True, read=bytes),
                model_name="m",
            ),
            fakes,
            statistics := ModelStatistics(),
            name="m",
        )
        built.append((scheduler, fakes))
        tables[scheduler] = table
        return scheduler, fakes, statistics

    build.tables = tables
    yield build
    for scheduler, fakes in built:
        for fake in fakes:
            fake.open()
        await asyncio.wait_for(scheduler.close(), 10)
        assert scheduler.inflight == 0
        assert [fake.closed for fake in fakes] == [1] * len(fakes)


@pytest.fixture(name="ask")
def _ask(make):
    """Make a request of a sequence."""

    def ask(key, value=0, flags="", **more):
        return make.request(
            value, sequence_id=key, sequence_start="s" in flags, sequence_end="e" in flags, **more
        )

    return ask


def value_of(answer):
    """Return the number an answer is full of."""
    return int(answer.outputs[0].array()[0, 0])


async def executing(instance):
    """Wait until an instance has begun to execute."""
    assert await asyncio.to_thread(instance.started.acquire, timeout=10)

"""A scheduler of iterative sequences over an instance that counts requests down."""

import asyncio

import numpy as np

from inferd._generated.inference import (
    ModelSequenceBatching,
)
from inferd.errors import BackendError
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.inline import PinnedPolicy
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.sequences import SequenceTable
from inferd.scheduling.statistics import ModelStatistics

LONG_NS = (2**64 - 1) * 1000
LANES = {"direct": lambda: DirectLane(3), "oldest": lambda: OldestLane(OldestPolicy(3, 3))}


class Counting:
    """
    Counts each request down to zero, one iteration per count, as a fake instance's ``execute``.

    Attributes:
        instance: The fake instance.
        left: Id of a request -> the request, and how often it is still to be answered.
        seen: (START, END, CORRID, count left) of each request and iteration.
        fail_at: Counts left at which a request fails.
        reschedule_fillers: Whether rows that only fill a slot are rescheduled, too.
    """

    def __init__(self, instance):
        self.instance = instance
        self.left = {}
        self.seen = []
        self.fail_at = None
        self.reschedule_fillers = False

    def __call__(self, batch):
        """Answer what is left, and have what is not zero executed again."""
        self.instance.sizes.append(batch.size)
        self.instance.started.release()
        if self.instance._held:
            assert self.instance._gate.acquire(timeout=30)
        outputs = np.zeros((batch.size, 2), np.int32)
        for index, request in enumerate(batch.requests):
            if request.sequence_id in (0, ""):
                if self.reschedule_fillers:
                    batch.reschedule(index)
                continue
            outputs[index] = self._count_down(batch, index, request)
        if batch.senders:
            return []
        return [outputs for _ in batch.output_names]

    def _count_down(self, batch, index, request):
        given = int(batch.inputs["X"][index, 0])
        _, before = self.left.get(id(request), (request, given))
        left = before - 1
        # The request is kept, so that no other one gets its id.
        self.left[id(request)] = request, left
        controls = (batch.inputs.get(name) for name in ("START", "END", "CORRID"))
        self.seen.append((*(None if one is None else one[index].item() for one in controls), left))
        if left == self.fail_at:
            error = BackendError("broken")
            batch.senders[index].fail(error) if batch.senders else batch.fail(index, error)
        elif batch.senders:
            answer = np.full((1, 2), left, np.int32)
            batch.senders[index].send({"Y": answer}, final=not left)
        if left:
            batch.reschedule(index)
        return left


def make_scheduler(
    fake, signature, lane, *, iterative=True, decoupled=False, inline=False, batching=None
):
    """Return a scheduler of one lane over a fake instance that counts down."""
    batching = batching or ModelSequenceBatching()
    assembler = SequenceAssembler(
        Assembler(signature, 1),
        SequenceControls.from_config("m", batching, batches=True),
        SequenceStates.from_config("m", batching, batches=True, read=bytes),
        model_name="m",
    )
    scheduler = SequenceScheduler(
        SequenceTable("m", [lane], LONG_NS, iterative=iterative),
        assembler,
        [fake],
        ModelStatistics(),
        name="m",
        decoupled=decoupled,
        inline=PinnedPolicy(True) if inline else None,
    )
    scheduler.counting = fake.execute = Counting(fake)
    return scheduler


async def unary(scheduler, request):
    """Return the answer, as a list of one."""
    response = await scheduler.infer(request)
    return [int(response.outputs[0].array()[0, 0])]


async def streamed(scheduler, request):
    """Return all answers."""
    source = scheduler.stream(request)
    values = []
    try:
        while True:
            answer, final = await source.receive()
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                values.append(int(answer.outputs[0].array()[0, 0]))
            if final:
                return values
    finally:
        source.close()


async def begun(scheduler, count=1):
    """Wait until so many executions have begun."""
    for _ in range(count):
        assert await asyncio.to_thread(scheduler.counting.instance.started.acquire, timeout=10)


async def until(holds):
    """Let the loop turn until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for is a plain counter
            await asyncio.sleep(0)

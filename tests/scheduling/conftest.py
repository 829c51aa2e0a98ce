"""A backend instance that is released by hand, builders for requests, and a scheduler on them."""

import asyncio
import threading

import numpy as np
import pytest

from inferd.backend import Batch, Instance
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.statistics import ModelStatistics
from tests.scheduling.decoupled_rig import _decoupled  # noqa: F401 - a fixture
from tests.scheduling.iterating import LANES, make_scheduler
from tests.scheduling.replying import _threads  # noqa: F401 - a fixture
from tests.scheduling.sequence_rig import _ask, _build  # noqa: F401 - fixtures


class FakeInstance(Instance):
    """
    Adds one to its input. ``hold()`` makes it wait until ``release()``.

    Attributes:
        sizes: Batch sizes executed, in order.
        error: Raised instead of answering, when set.
        error_of: Tells, when set, what to raise for a batch whose first element is given.
        outputs: Returned instead of the sum, when set.
    """

    def __init__(self):
        self.sizes = []
        self.error = None
        self.error_of = None
        self.outputs = None
        self.closed = 0
        self.started = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)
        self._held = False

    def hold(self):
        """Make executions wait for a release each."""
        self._held = True

    def release(self, count=1):
        """Let held executions go on."""
        for _ in range(count):
            self._gate.release()

    def open(self):
        """Hold no more, and let everything go on."""
        self._held = False
        self.release(1000)

    def execute(self, batch: Batch):
        """Record the batch, wait if held, answer input + 1."""
        self.sizes.append(batch.size)
        self.started.release()
        if self._held and not self._gate.acquire(timeout=30):
            raise TimeoutError("the test did not release the instance")
        if self.error_of is not None:
            self.error = self.error_of(int(batch.inputs["X"][0, 0]))
        if self.error is not None:
            raise self.error
        if self.outputs is not None:
            return self.outputs
        return [batch.inputs["X"] + 1 for _ in batch.output_names]

    def close(self):
        """Count the calls."""
        self.closed += 1


def spec(name="X", datatype="INT32", itemsize=4, dims=(2,), **more):
    """Return a tensor spec."""
    return TensorSpec(name, datatype, itemsize, tuple(dims), **more)


def signature(max_batch_size=4, dims=(2,)):
    """Return a signature with input X and output Y."""
    return Signature("m", max_batch_size, [spec("X", dims=dims)], [spec("Y", dims=dims)])


def request(value=0, rows=1, width=2, raw=True, outputs=(), **more):
    """Return a checked request whose rows are all ``value``."""
    array = np.full((rows, width), value, "<i4")
    tensor = (
        Tensor("X", "INT32", array.shape, raw=array.tobytes())
        if raw
        else Tensor("X", "INT32", array.shape, array=array)
    )
    made = InferRequest(
        "m", {"X": tensor}, outputs=[RequestedOutput(name) for name in outputs], **more
    )
    made.batch_size = rows
    return made


@pytest.fixture(name="make")
def _make():
    """The builders above, for tests that import nothing from here."""
    return _Builders


class _Builders:
    instance = FakeInstance
    spec = staticmethod(spec)
    signature = staticmethod(signature)
    request = staticmethod(request)


_DYNAMIC = BatchPolicy(4, True)


class Rig:
    """A scheduler with fake instances."""

    def __init__(self, make, policy=_DYNAMIC, instances=1, max_batch_size=4, **more):
        self.make = make
        self.instances = [make.instance() for _ in range(instances)]
        self.statistics = ModelStatistics()
        assembler = Assembler(make.signature(max_batch_size), 1)
        self.scheduler = Scheduler(
            policy, assembler, self.instances, self.statistics, name="m", **more
        )

    @property
    def instance(self):
        """The first instance."""
        return self.instances[0]

    async def infer(self, value, **more):
        """Return the first element of the answer."""
        response = await self.scheduler.infer(self.make.request(value, **more))
        return int(response.outputs[0].array()[0, 0])

    def start(self, value, **more):
        """Begin a request."""
        return asyncio.get_running_loop().create_task(self.infer(value, **more))

    async def started(self, instance=None):
        """Wait until an instance has begun its next execution."""
        await asyncio.to_thread((instance or self.instance).started.acquire)

    async def until(self, holds):
        """Let the loop turn until something holds."""
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - what is waited for is a plain counter
                await asyncio.sleep(0)


@pytest.fixture(name="rigs")
async def _rigs(make):
    """Make rigs that are closed at the end of the test."""
    made = []

    def rig(**more):
        made.append(Rig(make, **more))
        return made[-1]

    yield rig
    for one in made:
        for instance in one.instances:
            instance.open()
        if not one.instance.closed:
            await asyncio.wait_for(one.scheduler.close(), 10)


@pytest.fixture(name="iterating", params=["direct", "oldest"])
async def _iterating(request, make):
    """Make schedulers of iterative sequences; they are closed at the end, with every place free."""
    made = []

    def iterating(*, lane=None, **more):
        fake, lane = make.instance(), (lane or LANES[request.param])()
        made.append((make_scheduler(fake, make.signature(), lane, **more), fake, lane, lane.room))
        return made[-1][0]

    yield iterating
    for scheduler, fake, lane, room in made:
        fake.open()
        await asyncio.wait_for(scheduler.close(), 10)
        assert (scheduler.inflight, scheduler._statistics.pending) == (0, 0)
        assert len(scheduler._table) == scheduler._table.backlog == 0
        assert lane.room == room
